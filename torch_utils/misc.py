"""Tensors, modules and sampling: small helpers of training and inference."""

import contextlib
import functools
import re
import warnings
from collections.abc import Iterator

import numpy as np
import torch

# ---- Tensors -----------------------------------------------------------------------------------------------

nan_to_num = torch.nan_to_num


def constant(value, shape=None, dtype: torch.dtype | None = None, device=None,
             memory_format: torch.memory_format | None = None) -> torch.Tensor:
    """A cached read-only tensor of `value` (number, list or array), broadcast to `shape`."""
    value = np.ascontiguousarray(value).reshape(np.shape(value))
    shape = None if shape is None else tuple(shape)
    dtype = torch.get_default_dtype() if dtype is None else dtype
    device = torch.device('cpu' if device is None else device)
    memory_format = torch.contiguous_format if memory_format is None else memory_format
    return _constant(value.tobytes(), value.shape, value.dtype.str, shape, dtype, device, memory_format)


@functools.lru_cache(maxsize=4096)
def _constant(raw, value_shape, value_dtype, shape, dtype, device, memory_format) -> torch.Tensor:
    value = np.frombuffer(raw, dtype=value_dtype).reshape(value_shape)
    with torch.inference_mode(False):  # or a first use while generating would break a later one in training
        tensor = torch.as_tensor(value.copy(), dtype=dtype, device=device)
        if shape is not None:
            tensor = tensor.expand(shape)
        return tensor.contiguous(memory_format=memory_format)


def assert_shape(tensor: torch.Tensor, ref_shape) -> None:
    """Raises AssertionError unless the tensor has this shape; None stands for any size."""
    if tensor.ndim != len(ref_shape) or any(
            ref is not None and int(size) != int(ref) for size, ref in zip(tensor.shape, ref_shape)):
        raise AssertionError(f'Expected shape {list(ref_shape)} (None: any size), got {list(tensor.shape)}.')


@contextlib.contextmanager
def suppress_tracer_warnings() -> Iterator[None]:
    """Hides what torch.jit.trace says about Python values, and touches no other warning filter."""
    entry = ('ignore', None, torch.jit.TracerWarning, None, 0)
    warnings.filters.insert(0, entry)
    try:
        yield
    finally:
        warnings.filters.remove(entry)


def profiled_function(fn):
    """Decorator: the function appears under its name in torch's profiler."""
    @functools.wraps(fn)
    def profiled(*args, **kwargs):
        with torch.autograd.profiler.record_function(fn.__name__):
            return fn(*args, **kwargs)
    return profiled


# ---- Sampling ----------------------------------------------------------------------------------------------


class InfiniteSampler(torch.utils.data.Sampler):
    """Indices of a dataset without end, shared out to `num_replicas` ranks in turn.

    Every pass over the dataset holds each index once, and the order depends on `seed` only. From pass to pass
    an index moves by at most `window_size` of the dataset's length, so that no picture returns too soon or
    too late; 0 keeps the first order. `start` skips as many indices of this rank, as if they had been drawn.
    """

    def __init__(self, dataset, rank: int = 0, num_replicas: int = 1, shuffle: bool = True, seed: int = 0,
                 window_size: float = 0.5, start: int = 0):
        super().__init__()
        if len(dataset) == 0:
            raise ValueError('The dataset holds no pictures to draw from.')
        assert 0 <= rank < num_replicas, (rank, num_replicas)
        assert 0 <= window_size <= 1, window_size
        assert start >= 0, start
        self.dataset = dataset
        self.rank = rank
        self.num_replicas = num_replicas
        self.shuffle = shuffle
        self.seed = seed
        self.window_size = window_size
        self.start = start

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        skipped_passes, position = divmod(self.rank + self.start * self.num_replicas, size)
        passes = self._passes(size)
        for _ in range(skipped_passes if self.shuffle and self.window_size > 0 else 0):
            next(passes)
        for order in passes:
            while position < size:
                yield int(order[position])
                position += self.num_replicas
            position -= size

    def _passes(self, size: int) -> Iterator[np.ndarray]:
        order = np.arange(size)
        random = np.random.RandomState(self.seed)
        if self.shuffle:
            random.shuffle(order)
        while True:
            yield order
            if self.shuffle and self.window_size > 0:
                delayed = np.arange(size) + random.uniform(0, self.window_size * size, size=size)
                order = order[np.argsort(delayed, kind='stable')]


# ---- Modules -----------------------------------------------------------------------------------------------


def params_and_buffers(module: torch.nn.Module) -> list[torch.Tensor]:
    """All parameters, then all buffers."""
    return [*module.parameters(), *module.buffers()]


def named_params_and_buffers(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """All parameters, then all buffers, with their names."""
    return [*module.named_parameters(), *module.named_buffers()]


@torch.no_grad()
def copy_params_and_buffers(src_module: torch.nn.Module, dst_module: torch.nn.Module,
                            require_all: bool = False) -> None:
    """Copies the tensors of equal name into `dst_module`; with `require_all` a missing one raises ValueError.

    A tensor of equal name and another shape always raises ValueError, before anything is copied.
    """
    sources = dict(named_params_and_buffers(src_module))
    pairs = []
    for name, tensor in named_params_and_buffers(dst_module):
        source = sources.get(name)
        if source is None:
            if require_all:
                raise ValueError(f'{type(src_module).__name__} to copy from has no tensor {name}.')
            continue
        if source.shape != tensor.shape:
            raise ValueError(
                f'Tensor {name} to copy has shape {list(source.shape)}, expected {list(tensor.shape)}.')
        pairs.append((tensor, source))
    for tensor, source in pairs:
        tensor.copy_(source)


@contextlib.contextmanager
def ddp_sync(module: torch.nn.Module, sync: bool) -> Iterator[None]:
    """Within this context a DistributedDataParallel module exchanges gradients only if `sync`."""
    quiet = not sync and isinstance(module, torch.nn.parallel.DistributedDataParallel)
    with module.no_sync() if quiet else contextlib.nullcontext():
        yield


@torch.no_grad()
def check_ddp_consistency(module: torch.nn.Module, ignore_regex: str | None = None) -> None:
    """Raises AssertionError naming the first tensor that differs from rank 0's.

    Names are `<class name>.<tensor name>`; those that `ignore_regex` matches as a whole are left out. Every
    rank has to call this; only those that differ raise, after the last tensor, so that ranks stay in step.
    """
    differs = None
    for name, tensor in named_params_and_buffers(module):
        name = f'{type(module).__name__}.{name}'
        if ignore_regex is not None and re.fullmatch(ignore_regex, name):
            continue
        reference = tensor.detach().clone()
        torch.distributed.broadcast(reference, src=0)
        equal = (tensor == reference) | (tensor != tensor) & (reference != reference)  # NaN equals NaN here
        if differs is None and not equal.all():
            differs = name
    if differs is not None:
        raise AssertionError(f'Rank {torch.distributed.get_rank()} differs from rank 0 in {differs}.')


# ---- Summary of a module -----------------------------------------------------------------------------------


def print_module_summary(module: torch.nn.Module, inputs, max_nesting: int = 3, skip_redundant: bool = True):
    """Runs `module(*inputs)`, prints its submodules as a table and returns the outputs.

    A row a submodule and further output: name, parameters and buffers that no earlier row counts, output
    shape, dtype. `max_nesting` counts submodules inside submodules; `skip_redundant` leaves out rows that
    hold no tensors of their own and whose outputs another row shows.
    """
    records = []  # (module, outputs), in the order in which the calls end
    depth = 0

    def enter(_module, _inputs):
        nonlocal depth
        depth += 1

    def leave(submodule, _inputs, outputs):
        nonlocal depth
        depth -= 1
        if depth <= max_nesting:
            outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
            records.append((submodule, [t for t in outputs if isinstance(t, torch.Tensor)]))

    hooks = [hook for submodule in module.modules()
             for hook in (submodule.register_forward_pre_hook(enter), submodule.register_forward_hook(leave))]
    try:
        outputs = module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    _print_table(_summary_rows(module, records, skip_redundant))
    return outputs


def _summary_rows(module, records, skip_redundant: bool) -> list[list[str]]:
    names = {id(submodule): name for name, submodule in module.named_modules()}
    counted, shown = set(), set()
    rows, totals = [], [0, 0]
    for submodule, outputs in records:
        sizes = []
        for tensors in (submodule.parameters(), submodule.buffers()):
            new = [t for t in tensors if id(t) not in counted]
            counted.update(id(t) for t in new)
            sizes.append(sum(t.numel() for t in new))
        fresh = [t for t in outputs if id(t) not in shown]
        shown.update(id(t) for t in fresh)
        if skip_redundant and not any(sizes) and not fresh and submodule is not module:
            continue
        totals = [total + size for total, size in zip(totals, sizes)]
        name = names[id(submodule)] or '(top level)'
        counts = [str(size) if size else '-' for size in sizes]
        for i, output in enumerate((fresh if skip_redundant and fresh else outputs) or [None]):
            shape, dtype = ('-', '-') if output is None else (str(list(output.shape)), str(output.dtype)[6:])
            first = [name, *counts] if i == 0 else [f'{name}:{i}', '-', '-']
            rows.append([*first, shape, dtype])
    return [*rows, ['total', *map(str, totals), '-', '-']]


def _print_table(rows: list[list[str]]) -> None:
    rows = [['module', 'parameters', 'buffers', 'output shape', 'dtype'], *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, ['-' * width for width in widths])
    rows.insert(-1, rows[1])
    print()
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()
