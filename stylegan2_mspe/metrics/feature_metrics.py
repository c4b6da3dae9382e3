"""FID, KID, precision and recall, and the Inception score, by the names that StyleGAN2-ADA gave them."""

import torch

from stylegan2_mspe.dataset import Dataset
from stylegan2_mspe.metrics import samples
from stylegan2_mspe.metrics.feature_statistics import Features, collect
from stylegan2_mspe.metrics.frechet import frechet_distance
from stylegan2_mspe.metrics.inception_score import check_probabilities, inception_score
from stylegan2_mspe.metrics.kernel_distance import kernel_distance
from stylegan2_mspe.metrics.precision_recall import precision_recall
from stylegan2_mspe.metrics.real_features import real_features
from stylegan2_mspe.metrics.registry import register_metric
from stylegan2_mspe.metrics.task import MetricTask

FRECHET = ('Fréchet distance of Gaussians fitted to features (Heusel et al. 2017), covariance with N - 1; '
           'the paper: pytorch-fid, 50,000 real against 50,000 generated')
KERNEL = ('unbiased MMD² with a cubic kernel, mean over 100 random subsets of at most 1000 (Bińkowski et al. '
          '2018)')
NEIGHBOURS = ('3 nearest neighbours (Kynkäänniemi et al. 2019); the paper: precision and recall of '
              'distributions (Sajjadi et al. 2018), other numbers')
SCORE = 'mean and standard deviation over 10 splits (Salimans et al. 2016)'


def both(task: MetricTask, keep: bool = False) -> tuple[Features, Features]:
    """Features of the real pictures and of the generated; keep: each of them, not their moments only."""
    reals = samples.open_reals(task)
    real = real_features(task, task.detector(), reals, keep)
    return real, generated_features(task, samples.label_source(task, reals), keep)


def generated_features(task: MetricTask, dataset: Dataset | None, keep: bool = False) -> Features:
    """Features of the generated pictures, unless another metric has left them; dataset: of their labels."""
    request, detector = task.request, task.detector()
    labels = (request.full, dataset is None) if task.G.c_dim else None
    key = (request.pictures, request.size, labels, task.seed, detector.name, detector.sha256)
    found = task.shared.get(key)
    if found is None or keep and found.values is None:
        compute = lambda part: detector.features(samples.generated(task, part, dataset))
        found = collect(samples.of_all(task, compute, 'generated, batches'), keep)
        task.shared[key] = found
    return found


@register_metric('fid', pictures=50000, detector='inception', data=True, sized=True, protocol=FRECHET)
def frechet(task: MetricTask) -> dict[str, float]:
    real, generated = both(task)
    return {'': frechet_distance(*(each.numpy() for side in (real, generated)
                                   for each in (side.mean, side.covariance)))}


@register_metric('kid', pictures=50000, detector='inception', data=True, sized=True, protocol=KERNEL)
def kernel(task: MetricTask) -> dict[str, float]:
    real, generated = both(task, keep=True)
    return {'': kernel_distance(real.values.numpy(), generated.values.numpy(), seed=task.seed,
                                progress=task.counted('subsets'))}


@register_metric('pr3', pictures=50000, detector='vgg16', data=True, sized=True, protocol=NEIGHBOURS)
def neighbours(task: MetricTask) -> dict[str, float]:
    real, generated = both(task, keep=True)
    precision, recall = precision_recall(real.values.to(task.device), generated.values.to(task.device),
                                         progress=task.counted('parts of the distances'))
    return dict(_precision=precision, _recall=recall)


@register_metric('is', pictures=50000, detector='inception', sized=True, protocol=SCORE)
def score(task: MetricTask) -> dict[str, float]:
    detector, dataset = task.detector(), samples.label_source(task)
    compute = lambda part: check_probabilities(detector.probabilities(samples.generated(task, part, dataset)))
    found = torch.cat(list(samples.of_all(task, compute, 'generated, batches')))
    mean, deviation = inception_score(found.numpy())
    return dict(_mean=mean, _std=deviation)
