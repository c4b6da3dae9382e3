"""Perceptual path length (Karras et al. 2019, Sec. 4.1): how much a picture changes with a small step of its
latent on the way to another, the square of the change for the square of the step.
"""

import functools

import numpy as np
import torch

from stylegan2_mspe import rendering
from stylegan2_mspe.detector_file import VGG_PIXELS, vgg_features
from stylegan2_mspe.metrics import samples
from stylegan2_mspe.metrics.registry import register_metric
from stylegan2_mspe.metrics.task import MetricTask

STEP = 1e-4                     # of the way, 0 … 1
TAILS = (1, 99)                 # percentiles outside of which a distance does not count
FACE = ((3 / 8, 7 / 8), (2 / 8, 6 / 8))   # rows and columns of StyleGAN's crop


def between(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The points at t [N] on the straight lines from a to b, [N, ...]."""
    return a.lerp(b, t.to(a).reshape(-1, *[1] * (a.ndim - 1)))


def on_sphere(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Unit vectors at t [N] of the way along the great circles from the directions of a to those of b [N, D].
    """
    a, b = torch.nn.functional.normalize(a, dim=1), torch.nn.functional.normalize(b, dim=1)
    cosine = (a * b).sum(dim=1, keepdim=True)
    across = torch.nn.functional.normalize(b - cosine * a, dim=1)
    angle = t.to(a)[:, None] * cosine.clamp(-1, 1).acos()
    return a * angle.cos() + across * angle.sin()


def mean_without_tails(distances: np.ndarray) -> float:
    """The mean of the distances [N] from the 1st to the 99th percentile, both of them values that occur."""
    low, high = (np.percentile(distances, at, method=method)
                 for at, method in zip(TAILS, ('lower', 'higher')))
    return float(distances[(distances >= low) & (distances <= high)].mean())


def drawn_pairs(task: MetricTask, part: range) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two latents [n, z_dim] of each sample and a number [n] from 0 to 1; the first is generate.py's."""
    random = [np.random.RandomState(seed) for seed in samples.seeds(task, part)]
    first, second = (np.stack([each.randn(task.G.z_dim) for each in random]) for _ in range(2))
    place = np.array([each.random_sample() for each in random])
    return tuple(torch.from_numpy(each).to(task.device) for each in (first, second, place))


def ends_of_steps(task: MetricTask, part: range, space: str, whole: bool, dataset) -> list[torch.Tensor]:
    """ws [n, num_ws, w_dim] where the step of each sample begins, and where it ends."""
    first, second, place = drawn_pairs(task, part)
    place = place if whole else torch.zeros_like(place)
    c = samples.labels(task, part, dataset)
    if space == 'z':
        return [task.G.mapping(on_sphere(first, second, place + step), c) for step in (0, STEP)]
    ws = [task.G.mapping(z, c) for z in (first, second)]
    return [between(*ws, place + step) for step in (0, STEP)]


def draw(task: MetricTask, part: range, ws: torch.Tensor, crop: bool) -> torch.Tensor:
    """Pictures of the samples, with their noise; crop: the part of them where faces are."""
    with samples.noise(task, part):
        pictures = rendering.render(task.G, ws, None, noise_mode='random')
    if not crop:
        return pictures
    height, width = pictures.shape[2:]
    (top, bottom), (left, right) = FACE
    return pictures[:, :, int(top * height):int(bottom * height), int(left * width):int(right * width)]


def path_length(task: MetricTask, space: str, whole: bool, crop: bool) -> dict[str, float]:
    """space: z or w, in which the way is. whole: steps anywhere on it, not at its beginning only."""
    detector = task.detector()
    if not isinstance(detector.network, torch.jit.ScriptModule):
        raise ValueError(f'--metrics={task.request.text}: found the classifier of digits as its detector, '
                         'expected VGG16 or another TorchScript file')
    see = vgg_features(detector.network)
    task.notes['filter'] = f'area, where pictures are larger than {VGG_PIXELS} pixels'
    dataset = samples.label_source(task)

    def distances(part):
        near, far = (see(draw(task, part, ws, crop))[0]
                     for ws in ends_of_steps(task, part, space, whole, dataset))
        return (near - far).square().flatten(1).mean(dim=1) / STEP ** 2

    found = torch.cat(list(samples.of_all(task, distances, 'pairs, batches')))
    return {'': mean_without_tails(found.double().numpy())}


def _register(name: str, **how) -> None:
    place = 'anywhere on' if how['whole'] else 'at the beginning of'
    part = ', of the part where faces are' if how['crop'] else ''
    protocol = (f'Karras et al. 2019: LPIPS{part}, for a step of {STEP:g} {place} the way between two '
                f'latents in {how["space"]}; mean from the 1st to the 99th percentile')
    register_metric(name, pictures=50000, detector='vgg16', protocol=protocol)(
        functools.partial(path_length, **how))


_register('ppl2_wend', space='w', whole=False, crop=False)
_register('ppl_zfull', space='z', whole=True, crop=True)
_register('ppl_wfull', space='w', whole=True, crop=True)
_register('ppl_zend', space='z', whole=False, crop=True)
_register('ppl_wend', space='w', whole=False, crop=True)
