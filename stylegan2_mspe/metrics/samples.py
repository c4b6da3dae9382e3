"""The pictures that a metric looks at, generated and real, shared out among the processes.

Sample i is the same whatever the batch and the number of processes: latent, label and noise are functions of
(seed, i), and what is computed of the samples comes in their order, to every process.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from stylegan2_mspe import chance, distributed, rendering
from stylegan2_mspe.dataset import Dataset, construct_dataset
from stylegan2_mspe.metrics.task import MetricTask

BATCH = 32                      # samples that one process works on at a time
SEEDS = 10 ** 6                 # of generate.py, to each seed of a metric


def own_parts(count: int) -> list[range]:
    """The samples, of 0 … count - 1, that this process works on in each round; none in some, at the end."""
    return [range(min(start, count), min(start + BATCH, count))
            for start in range(BATCH * distributed.rank(), _whole(count), BATCH * distributed.size())]


def _whole(count: int) -> int:
    """As many samples as the rounds of all processes have room for."""
    together = BATCH * distributed.size()
    return -(-count // together) * together


def of_all(task: MetricTask, compute: Callable[[range], torch.Tensor], what: str) -> Iterator[torch.Tensor]:
    """compute(samples) -> [n, ...], of all the task's samples in their order, on the CPU, to every process.

    Whatever is computed of pictures is computed here: of as many of them at a time as fit in the memory.
    what: they are, for the progress. Raises ValueError where not even one fits.
    """
    def in_parts(samples):
        size = task.request.size or (task.G.img_resolution,) * 2
        batch = rendering.batch_that_fits(task.G, size, f'--metrics={task.request.text}', BATCH)
        return torch.cat([compute(samples[start:start + batch]) for start in range(0, len(samples), batch)])
    return in_order(task, task.request.pictures, in_parts, what)


def in_order(task: MetricTask, count: int, compute: Callable[[range], torch.Tensor],
             what: str) -> Iterator[torch.Tensor]:
    """compute(samples) -> [n, ...], of all samples 0 … count - 1 in their order, on the CPU.

    Each process computes a share, and gets all. what: they are, for the progress.
    """
    parts = own_parts(count)
    for part in task.counted(what)(parts):
        found = compute(part).cpu() if part else None
        yield from (each for each in distributed.gather(found) if each is not None)


def seeds(task: MetricTask, samples: range) -> list[int]:
    """The seeds with which generate.py draws the latents of these samples."""
    return [(task.seed * SEEDS + index) % 2 ** 32 for index in samples]


def open_reals(task: MetricTask) -> Dataset:
    """The real pictures: all of the source as they are, or those the network was trained with."""
    kwargs = dict(task.dataset_kwargs)
    if task.request.full:
        kwargs.update(max_size=None, xflip=False)
    return construct_dataset(**kwargs)


def label_source(task: MetricTask, reals: Dataset | None = None) -> Dataset | None:
    """The dataset whose labels a conditional network is asked for; None where none has such, or no need.

    reals: `open_reals`, where they have been opened. Which labels it is asked for is noted on the card.
    """
    if not task.G.c_dim:
        return None
    if reals is None and task.dataset_kwargs:
        reals = open_reals(task)
    fits = reals is not None and reals.label_dim == task.G.c_dim
    task.notes['labels'] = 'as frequent as in the dataset' if fits else 'all classes alike'
    return reals if fits else None


def labels(task: MetricTask, samples: range, dataset: Dataset | None) -> torch.Tensor:
    """Labels [n, c_dim] as frequent as they are in the dataset (`label_source`), else all classes alike."""
    if not task.G.c_dim:
        return torch.zeros([len(samples), 0], device=task.device)
    places = [np.random.RandomState([task.seed, index]).random_sample() for index in samples]
    if dataset is None:
        return rendering.class_labels(task.G, [int(place * task.G.c_dim) for place in places])
    rows = np.stack([dataset.get_label(int(place * len(dataset))) for place in places])
    return torch.from_numpy(rows).to(task.device)


def generated(task: MetricTask, samples: range, dataset: Dataset | None = None) -> torch.Tensor:
    """Pictures uint8 [n, C, H, W] of these samples on the task's canvas."""
    return images_of(draw(task, samples, dataset))


@torch.no_grad()
def draw(task: MetricTask, samples: range, dataset: Dataset | None = None) -> torch.Tensor:
    """The same as the network draws them, [n, C, H, W] in about [-1, 1]."""
    z = torch.from_numpy(rendering.seed_latents(seeds(task, samples), task.G.z_dim)).to(task.device)
    ws = task.G.mapping(z, labels(task, samples, dataset))
    with noise(task, samples):
        return rendering.render(task.G, ws, task.canvas, noise_mode='random')


def noise(task: MetricTask, samples: range):
    """A context in which noise_mode 'random' draws what belongs to these samples."""
    return chance.each([chance.mixed(task.seed, index) for index in samples])


def images_of(pictures: torch.Tensor) -> torch.Tensor:
    """uint8, rounded as `images.to_uint8` does, on the same device."""
    return (pictures.float() * 127.5 + 128).nan_to_num(0).clamp(0, 255).to(torch.uint8)
