"""Running statistics of named values: reported anywhere, collected once a tick, across processes.

A report adds (count, sum, sum of squares) in float64 to a total per name: numbers that are already on the CPU
to a plain Python list, others to a tensor on their own device, so that reporting never waits for a GPU. A
collection hands the totals to every collector and starts them anew: the statistics of a tick are rounded as
if there had been no other, so that a run that was interrupted and goes on finds the same numbers.
"""

import math
import re
import weakref

import numpy as np
import torch

import dnnlib

_rank = 0
_sync_device: torch.device | None = None  # where the totals of all processes are added up; None: one process
_cpu_totals: dict[str, list[float]] = {}  # name → [count, sum, sum of squares] since the last collection
_device_totals: dict[str, dict[torch.device, torch.Tensor]] = {}  # name → device → the same three
_world_names: set[str] = set()  # reported by any process, as of the last collection
_collectors: weakref.WeakSet = weakref.WeakSet()


def init_multiprocessing(rank: int, sync_device: torch.device | None) -> None:
    """Collects across the processes of torch.distributed, adding up on `sync_device`; call before any report.

    From then on `Collector.update` is collective: every rank has to call it, equally often.
    """
    global _rank, _sync_device
    _rank = rank
    _sync_device = None if sync_device is None else torch.device(sync_device)


def report(name: str, value):
    """Adds a number, or all the elements of a tensor, array or list, to the statistics of `name`; returns
    `value`."""
    if isinstance(value, torch.Tensor):
        elements = value.detach()
    elif isinstance(value, (int, float)):
        _add_on_cpu(name, 1, float(value), float(value) ** 2)
        return value
    else:
        elements = torch.as_tensor(np.asarray(value, dtype=np.float64))
    elements = elements.to(torch.float64).flatten()
    if elements.device.type == 'cpu':
        _add_on_cpu(name, elements.numel(), elements.sum().item(), elements.dot(elements).item())
        return value
    moments = torch.stack([torch.full_like(elements, 1).sum(), elements.sum(), elements.square().sum()])
    totals = _device_totals.setdefault(name, {})
    if elements.device in totals:
        totals[elements.device].add_(moments)
    else:
        totals[elements.device] = moments
    return value


def report0(name: str, value):
    """As `report`, but only the value of rank 0 counts; the other ranks call it all the same."""
    if _rank == 0:
        report(name, value)
    return value


def _add_on_cpu(name: str, count: int, total: float, squares: float) -> None:
    totals = _cpu_totals.setdefault(name, [0.0, 0.0, 0.0])
    totals[0] += count
    totals[1] += total
    totals[2] += squares


class Collector:
    """Statistics of the names that `regex` matches as a whole, reported between the last two calls of
    `update`.

    `keep_previous`: a name without a new report keeps its former numbers instead of becoming empty.
    """

    def __init__(self, regex: str = '.*', keep_previous: bool = True):
        self._regex = re.compile(regex)
        self._keep_previous = keep_previous
        self._waiting: dict[str, np.ndarray] = {}  # collected since the last update
        self._moments: dict[str, np.ndarray] = {}  # what came in between the last two updates
        _synchronize()  # what was reported before belongs to the collectors before
        _collectors.add(self)

    def names(self) -> list[str]:
        """The names reported so far, by any process as of the last update, that the regex matches."""
        return sorted(name for name in _world_names | _local_names() if self._regex.fullmatch(name))

    def update(self) -> None:
        """Takes over what was reported since the last update; all ranks have to call it."""
        _synchronize()
        if not self._keep_previous:
            self._moments.clear()
        self._moments.update((name, new) for name, new in self._waiting.items() if new[0] != 0)
        self._waiting.clear()

    def _receive(self, totals: dict[str, np.ndarray]) -> None:
        for name, new in totals.items():
            if self._regex.fullmatch(name):
                self._waiting[name] = self._waiting.get(name, 0) + new

    def num(self, name: str) -> int:
        """How many values came in; 0 where none did."""
        return int(self._get(name)[0])

    def mean(self, name: str) -> float:
        """Their mean; nan where there are none."""
        num, total, _ = self._get(name)
        return float(total / num) if num else math.nan

    def std(self, name: str) -> float:
        """Their standard deviation (of the values themselves); nan where there are none."""
        num, total, squares = self._get(name)
        if not num or not math.isfinite(total):
            return math.nan
        return 0.0 if num == 1 else math.sqrt(max(squares / num - (total / num) ** 2, 0.0))

    def as_dict(self) -> dnnlib.EasyDict:
        """name → EasyDict of num, mean and std."""
        return dnnlib.EasyDict(
            (name, dnnlib.EasyDict(num=self.num(name), mean=self.mean(name), std=self.std(name)))
            for name in self.names())

    def __getitem__(self, name: str) -> float:
        return self.mean(name)

    def _get(self, name: str) -> np.ndarray:
        assert self._regex.fullmatch(name), f'{name} is none of the names collected ({self._regex.pattern})'
        return self._moments.get(name, np.zeros(3))


def _local_names() -> set[str]:
    return {*_cpu_totals, *_device_totals}


def _synchronize() -> None:
    """Hands what was reported since the last time to all collectors. Ranks may have reported other names."""
    names = sorted(_local_names())
    totals = {name: _take_local(name) for name in names}
    if _sync_device is not None:
        per_rank = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(per_rank, names)
        names = sorted(set().union(*per_rank))
        if names:
            stacked = np.stack([totals.get(name, np.zeros(3)) for name in names])
            summed = torch.from_numpy(stacked).to(_sync_device)
            torch.distributed.all_reduce(summed)
            totals = dict(zip(names, summed.cpu().numpy()))
    _world_names.update(names)
    for collector in _collectors:
        collector._receive(totals)


def _take_local(name: str) -> np.ndarray:
    """This process's totals of a name, which start at zero again."""
    total = np.array(_cpu_totals.get(name, [0.0, 0.0, 0.0]))
    for moments in _device_totals.get(name, {}).values():
        total = total + moments.cpu().numpy()
        moments.zero_()
    if name in _cpu_totals:
        _cpu_totals[name] = [0.0, 0.0, 0.0]
    return total
