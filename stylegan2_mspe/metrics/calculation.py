"""One metric of one network: computed by all processes together, with all that its number depends on."""

import dataclasses
import time

import torch

from stylegan2_mspe import distributed
from stylegan2_mspe.metrics.registry import parse
from stylegan2_mspe.metrics.task import MetricTask, Progress, silent


@dataclasses.dataclass(frozen=True)
class Result:
    """The numbers of a metric, by their names, and how they came about."""
    metric: str
    results: dict[str, float]
    card: dict                  # N, seed, size, detector, filter, protocol: what another number must share
    seconds: float

    def sentence(self) -> str:
        numbers = ', '.join(f'{name} {value:.5g}' for name, value in self.results.items())
        against = f' against {self.card["real_pictures"]} real' if 'real_pictures' in self.card else ''
        seen = f', seen by {self.card["detector"]}' if 'detector' in self.card else ''
        return f'{numbers} ({self.card["pictures"]} pictures{against}{seen})'


def calculate(G: torch.nn.Module, metric: str, *, dataset_kwargs: dict | None = None, seed: int = 0,
              detectors: dict[str, str] | None = None, progress: Progress = silent,
              shared: dict | None = None) -> Result:
    """Computes the metric of this name of a generator in eval mode, on its device.

    dataset_kwargs: of dataset.construct_dataset, for what compares with real pictures. detectors: files by
    kind in place of StyleGAN2's, as `detectors.open_detector` takes them. shared: a dictionary for several
    metrics of G, so that one finds the features that another has drawn its pictures for.
    Each of several processes calls this; the numbers are the same in all, and for any number of them. Raises
    ValueError or OSError for an unknown metric, a dataset or a detector that can't be had.
    """
    request = parse(metric)
    check_data(request, dataset_kwargs)
    task = MetricTask(G=G, request=request, dataset_kwargs=dataset_kwargs, seed=seed,
                      detectors=detectors or {}, progress=progress if distributed.is_first() else silent,
                      shared={} if shared is None else shared)
    start = time.time()
    with torch.no_grad():
        found = request.metric.compute(task)
    results = {metric + ending: float(value) for ending, value in found.items()}
    return Result(metric, results, make_card(task), time.time() - start)


def check_data(request, dataset_kwargs: dict | None) -> None:
    """Raises ValueError where a metric compares with a dataset and there is none."""
    if request.metric.data and dataset_kwargs is None:
        raise ValueError(f'--metrics={request.text}: found no dataset to compare with, expected --data')


def make_card(task: MetricTask) -> dict:
    """What the number depends on beyond the network; for whoever compares it with another."""
    request = task.request
    size = request.size or (task.G.img_resolution,) * 2
    card = dict(pictures=request.pictures, seed=task.seed, size='x'.join(map(str, size)))
    if request.metric.detector:
        card.update(task.detector().card())
    return {**card, **task.notes, 'protocol': request.metric.protocol}
