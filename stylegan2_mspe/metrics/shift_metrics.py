"""What a shift and the noise do to pictures: metrics that need no dataset and no detector."""

import functools
from collections.abc import Callable

import torch

from stylegan2_mspe import rendering, similarity
from stylegan2_mspe.metrics import equivariance
from stylegan2_mspe.metrics.noise_deviation import MAPS, noise_deviation
from stylegan2_mspe.metrics.registry import register_metric
from stylegan2_mspe.metrics.samples import of_all, seeds
from stylegan2_mspe.metrics.task import MetricTask

PARTS = 16                      # of the trained size: shifts of `shift_sim` are 1 to 8 of them
EQT = ('EQ-T of Karras et al. 2021 in dB, shifts within an eighth of the picture; of the circular shift with '
       'the border of training and stored noise, and (_plane) without a border, noise moving along; ')


@register_metric('eqt_int', pictures=5000, protocol=EQT + 'whole pixels')
def eqt_int(task: MetricTask) -> dict[str, float]:
    """Translation equivariance to whole pixels."""
    return _equivariance(task, whole=True)


@register_metric('eqt_frac', pictures=5000, protocol=EQT + 'fractions, Lanczos filter of three lobes')
def eqt_frac(task: MetricTask) -> dict[str, float]:
    """Translation equivariance to fractions of pixels."""
    return _equivariance(task, whole=False)


def _equivariance(task: MetricTask, whole: bool) -> dict[str, float]:
    found = {}
    for place, ending in (('circle', ''), ('plane', '_plane')):
        errors = functools.partial(equivariance.translation_errors, task.G, place=place, whole=whole)
        rows = _of_each_seed(task, errors, f'shifted on the {place}, batches')
        found[ending] = equivariance.decibels(rows)
    return found


@register_metric('shift_sim', pictures=1000,
                 protocol='Eq. C of grey patches of half the trained size, the one at the upper left against '
                          'where circular shifts right and down, by 1/16 to 1/2 of the size, should have '
                          'moved it, stored noise; mean, and (_worst) the mean of the worst shift')
def shift_sim(task: MetricTask) -> dict[str, float]:
    """Similarity to itself of what is moved."""
    step = max(1, task.G.img_resolution // PARTS)
    distances = range(step, task.G.img_resolution // 2 + 1, step)
    shifts = similarity.along('right', distances) + similarity.along('down', distances)

    similarities = lambda those: torch.from_numpy(similarity.shift_similarity(task.G, shifts, those)).T
    means = _of_each_seed(task, similarities, 'moved, batches').mean(dim=0)
    return {'': float(means.mean()), '_worst': float(means.min())}


@register_metric('noise_std', pictures=32,
                 protocol=f'standard deviation of grey pixels over {MAPS} noise maps, of 255 levels (Fig. 4)')
def noise_std(task: MetricTask) -> dict[str, float]:
    """How much of pictures is left to the noise."""
    def deviations(those):
        means = [noise_deviation(task.G, rendering.seed_ws(task.G, [seed]), MAPS, seed).mean()
                 for seed in those]
        return torch.stack(means)
    return {'': float(_of_each_seed(task, deviations, 'varied, batches').mean())}


def _of_each_seed(task: MetricTask, compute: Callable[[list[int]], torch.Tensor], label: str) -> torch.Tensor:
    """compute(seeds) -> [n, ...] of all the task's samples, in their order."""
    if task.G.c_dim:
        task.notes['labels'] = 'the classes in turn'
    return torch.cat(list(of_all(task, lambda part: compute(seeds(task, part)), label)))
