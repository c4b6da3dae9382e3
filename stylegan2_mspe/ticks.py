"""Ticks: the status line, the line of stats.jsonl and the TensorBoard values a run leaves every few kimg.

Knows nothing of any network: what is trained reports its own values through torch_utils.training_stats.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator

import psutil
import torch

from dnnlib.util import format_time
from stylegan2_mspe import run_folder
from torch_utils import training_stats


@dataclasses.dataclass
class Progress:
    """How far a run is; with the weights and the random generators, all that a resumed run starts from."""
    nimg: int = 0               # pictures shown to the discriminator
    step: int = 0
    tick: int = 0
    tick_nimg: int = 0          # pictures shown when the current tick began
    seconds: float = 0          # trained in all, at the last tick


class Stopwatch:
    """Milliseconds of the last run of each part of a step; a GPU keeps its own time, read when asked for."""

    def __init__(self, device: torch.device):
        self.on_gpu = device.type == 'cuda'
        self.marks: dict[str, tuple] = {}

    @contextlib.contextmanager
    def time(self, name: str) -> Iterator[None]:
        start = self._mark()
        yield
        self.marks[name] = (start, self._mark())

    def read(self) -> dict[str, float]:
        if self.on_gpu:
            torch.cuda.synchronize()
            return {name: start.elapsed_time(end) for name, (start, end) in self.marks.items()}
        return {name: (end - start) * 1000 for name, (start, end) in self.marks.items()}

    def _mark(self):
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


class Ticks:
    """Closes ticks: collects, prints and writes what happened since the last one.

    The first tick ends with the first step, so that a run shows early that it works. Values of names that
    reported nothing in a tick stay what they were (`latest`, which belongs to a training state). `run_dir` is
    None in all but the first of several processes: these count, and write nothing.
    """

    def __init__(self, run_dir: str | None, progress: Progress, *, device: torch.device,
                 say: Callable[[str], None], latest: dict | None = None):
        self.run_dir, self.progress, self.device, self.say = run_dir, progress, device, say
        self.latest = dict(latest or {})
        self.collector = training_stats.Collector(regex='Loss/.*', keep_previous=False)
        self.start = time.time() - progress.seconds
        self.tick_start = time.time()
        self.maintenance = 0.
        self.tick_end = 0.
        self.collected: dict[str, dict] = {}    # what was reported in the tick
        self.stopwatch = Stopwatch(device)
        self.writer = run_dir and _tensorboard(run_dir)

    def due(self, tick_kimg: float, done: bool) -> bool:
        progress = self.progress
        return done or progress.tick == 0 or progress.nimg >= progress.tick_nimg + tick_kimg * 1000

    def stop(self) -> None:
        """Ends the tick; what follows until `begin` counts as maintenance."""
        self.tick_end = time.time()
        self.collector.update()
        fields = self.collector.as_dict()
        self.collected = {name: dict(field) for name, field in fields.items() if field['num']}
        self.latest.update(self.collected)

    def close(self, augment: float | None = None, variety: float | None = None) -> None:
        """Prints and writes the tick that was stopped.

        augment: the strength of the augmentation, where there can be any. variety: where it was measured in
        this tick.
        """
        progress = self.progress
        if variety is not None:
            self.latest['Progress/variety'] = dict(num=1, mean=variety, std=0.)
        progress.seconds = self.tick_end - self.start
        if self.run_dir is not None:
            self._write(augment)
        progress.tick += 1
        progress.tick_nimg = progress.nimg

    def _write(self, augment: float | None) -> None:
        progress, now = self.progress, self.tick_end
        kimg = progress.nimg / 1e3
        tick_sec = now - self.tick_start
        tick_kimg = (progress.nimg - progress.tick_nimg) / 1e3
        values = {
            'Progress/tick': progress.tick, 'Progress/kimg': kimg,
            **({} if augment is None else {'Progress/augment': augment}),
            'Timing/total_sec': progress.seconds, 'Timing/sec_per_tick': tick_sec,
            'Timing/sec_per_kimg': tick_sec / tick_kimg, 'Timing/maintenance_sec': self.maintenance,
            'Timing/total_hours': progress.seconds / 3600, 'Timing/total_days': progress.seconds / 86400,
            **{f'Timing/{name}': value for name, value in self.stopwatch.read().items()},
            'Resources/cpu_mem_gb': psutil.Process().memory_info().rss / 2 ** 30,
            'Resources/peak_gpu_mem_gb': self._peak_gpu_memory(),
        }
        self.say(status_line({name.split('/')[1]: value for name, value in values.items()}))
        fields = {**{name: dict(num=1, mean=value, std=0.) for name, value in values.items()}, **self.latest}
        run_folder.append_stats(self.run_dir, dict(fields, timestamp=now))
        if self.writer is not None:
            for name, field in fields.items():
                self.writer.add_scalar(name, field['mean'], global_step=int(kimg), walltime=now)
            self.writer.flush()

    def show(self, values: dict[str, float]) -> None:
        """Gives TensorBoard more numbers of the tick that was closed."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, global_step=self.progress.nimg // 1000)
            self.writer.flush()

    def begin(self) -> None:
        self.tick_start = time.time()
        self.maintenance = self.tick_start - self.tick_end

    def _peak_gpu_memory(self) -> float:
        if self.device.type != 'cuda':
            return 0.
        peak = torch.cuda.max_memory_allocated(self.device) / 2 ** 30
        torch.cuda.reset_peak_memory_stats(self.device)
        return peak


def status_line(values: dict) -> str:
    """One tick as StyleGAN2-ADA's users read it; `values` by their names in stats.jsonl after the slash.

    Without a value of `augment` the line ends before it.
    """
    augment = [f'augment {values["augment"]:.3f}'] if 'augment' in values else []
    return ' '.join([
        f'tick {values["tick"]:<5d}', f'kimg {values["kimg"]:<8.1f}',
        f'time {format_time(values["total_sec"]):<12s}',
        f'sec/tick {values["sec_per_tick"]:<7.1f}', f'sec/kimg {values["sec_per_kimg"]:<7.2f}',
        f'maintenance {values["maintenance_sec"]:<6.1f}', f'cpumem {values["cpu_mem_gb"]:<6.2f}',
        f'gpumem {values["peak_gpu_mem_gb"]:<6.2f}', *augment]).rstrip()


def _tensorboard(run_dir: str):
    """TensorBoard's writer where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(run_dir)
