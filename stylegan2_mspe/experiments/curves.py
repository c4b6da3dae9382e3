"""Training curves: what runs have written of themselves, and how good each of their snapshots is."""

import dataclasses
import math
import os
import statistics
from collections.abc import Callable, Iterable, Mapping

import torch
from PIL import Image

from stylegan2_mspe import plots, quality, run_folder
from stylegan2_mspe.classifier import DigitClassifier
from stylegan2_mspe.digits import NUM_CLASSES

SHOWN = {'Loss/G/loss': 'loss of G', 'Loss/D/loss': 'loss of D', 'Loss/r1_penalty': 'R1 penalty',
         'Progress/variety': 'variety (real = 1)', 'Loss/noise': 'loss of the noise'}   # of stats.jsonl
JUDGED = {'confident': 'surely a digit', 'entropy': 'entropy of the classes, bits'}
RANGES = {'confident': (0, 1), 'entropy': (0, math.log2(NUM_CLASSES))}


@dataclasses.dataclass(frozen=True)
class Run:
    """One run's curves by name, each (kimg, values), and its speed."""
    label: str
    kimg: float
    sec_per_kimg: float                 # median over the ticks
    curves: dict[str, tuple[list[float], list[float]]]

    def as_dict(self) -> dict:
        """For JSON, which knows no NaN: a value that is not there is null."""
        values = dataclasses.asdict(self)
        values['curves'] = {name: (kimg, [each if math.isfinite(each) else None for each in curve])
                            for name, (kimg, curve) in self.curves.items()}
        return values

    def sentence(self) -> str:
        speed = 1000 / self.sec_per_kimg
        return f'{self.label}: {self.kimg:g} kimg at {speed:.0f} images/s (median of its ticks)'


def read_run(label: str, folder: str) -> Run:
    """The curves of a run folder. Raises ValueError where it holds no tick, OSError."""
    lines = run_folder.read_stats(folder)
    if not lines:
        raise ValueError(f'{os.path.join(folder, run_folder.STATS)}: found no tick, expected at least one')
    kimg = [line['Progress/kimg'] for line in lines]
    curves = {name: (kimg, [line.get(name, math.nan) for line in lines]) for name in SHOWN}
    return Run(label, kimg[-1], statistics.median(line['Timing/sec_per_kimg'] for line in lines), curves)


def judge_snapshots(run: Run, networks: Iterable[tuple[float, Callable[[], torch.nn.Module]]], seeds: int,
                    classifier: DigitClassifier) -> Run:
    """The run with curves of the quality of its snapshots: (kimg, a function that opens the network) each."""
    found = [(kimg, quality.measure(network(), range(seeds), classifier)) for kimg, network in networks]
    curves = {name: ([kimg for kimg, _ in found], [getattr(each, name) for _, each in found])
              for name in JUDGED}
    return dataclasses.replace(run, curves={**run.curves, **curves})


def plot(runs: Iterable[Run]) -> Image.Image:
    """A panel for each curve that at least one run has, two in a row, with every run in it."""
    panels, runs = [], list(runs)
    for name, label in {**SHOWN, **JUDGED}.items():
        curves: Mapping = {run.label: run.curves[name] for run in runs if name in run.curves}
        if any(math.isfinite(value) for _, values in curves.values() for value in values):
            panels.append(plots.line_plot(curves, title=label, x_label='kimg', y_range=RANGES.get(name)))
    return plots.panels([panels[start:start + 2] for start in range(0, len(panels), 2)])
