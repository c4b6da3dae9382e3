"""Batches of pictures, read ahead by other processes; and the endless stream of them that a training takes,
in which the picture at position k is a function of (seed, k) alone.

So the stream can start anywhere, with any number of processes reading ahead, and shows what would have come.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch


class Batches:
    """Batch sampler: lists of dataset indices from position `start` on, without end.

    Position k is in epoch k // size, and each epoch is a permutation of its own. With several `replicas`, one
    takes every replicas-th position of a batch from `rank` on; `batch` counts the pictures of all of them.
    """

    def __init__(self, size: int, batch: int, *, seed: int = 0, start: int = 0, rank: int = 0,
                 replicas: int = 1):
        assert size > 0 and batch % replicas == 0 and 0 <= rank < replicas
        self.size, self.batch, self.seed, self.start = size, batch, seed, start
        self.rank, self.replicas = rank, replicas

    def __iter__(self) -> Iterator[list[int]]:
        epoch, order = -1, np.empty(0)
        first = self.start
        while True:
            indices = []
            for position in range(first + self.rank, first + self.batch, self.replicas):
                if position // self.size != epoch:
                    epoch = position // self.size
                    order = np.random.RandomState([self.seed, epoch]).permutation(self.size)
                indices.append(int(order[position % self.size]))
            yield indices
            first += self.batch


class _Readable:
    """A dataset whose refusals cross from the reading process as they are, without its traceback."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __getitems__(self, indices: list[int]) -> list[tuple] | Exception:
        try:
            return [self.dataset[index] for index in indices]
        except (ValueError, OSError) as error:
            return error


def _collate(items: list[tuple] | Exception):
    if isinstance(items, Exception):
        return items
    pictures, labels = zip(*items)
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(labels))


def batches(dataset, batch: int, *, seed: int, start: int, workers: int, pin_memory: bool = False,
            rank: int = 0, replicas: int = 1) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(pictures uint8 [N, C, H, W], labels float32 [N, label_dim]) from position `start` on.

    `workers` processes read ahead, 0 = this one reads. With several `replicas`, the share of `rank`. Raises
    what the dataset raises for a bad picture.
    """
    order = Batches(len(dataset), batch, seed=seed, start=start, rank=rank, replicas=replicas)
    return read(dataset, order, workers=workers, pin_memory=pin_memory)


def read(dataset, order: Iterable[Sequence[int]], *, workers: int, pin_memory: bool = False,
         ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(pictures uint8 [N, C, H, W], labels float32 [N, label_dim]) of each of these batches of indices."""
    with warnings.catch_warnings():
        # More processes than cores are fine: they mostly wait.
        warnings.filterwarnings('ignore', message='This DataLoader will create')
        loader = torch.utils.data.DataLoader(
            _Readable(dataset), batch_sampler=order,
            collate_fn=_collate, num_workers=workers, prefetch_factor=2 if workers else None,
            pin_memory=pin_memory,
            generator=torch.Generator())  # its own, so that making a loader draws nothing from the training's
        reader = iter(loader)
    for loaded in reader:
        if isinstance(loaded, Exception):
            raise loaded
        yield loaded


def to_network(pictures: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """uint8 0…255 -> float32 -1…1 on the device."""
    return pictures.to(device, non_blocking=True).to(torch.float32).div_(127.5).sub_(1)
