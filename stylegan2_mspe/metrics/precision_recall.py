"""Precision and recall by nearest neighbours (Kynkäänniemi et al. 2019): which part of the generated pictures
is real enough, and which part of the real ones can be generated.
"""

from collections.abc import Callable, Iterable, Sequence

import torch

Progress = Callable[[Sequence], Iterable]
NUMBERS = 1 << 24               # of distances that are held at a time


def precision_recall(real: torch.Tensor, generated: torch.Tensor, neighbours: int = 3,
                     progress: Progress = iter) -> tuple[float, float]:
    """(precision, recall) of features [N, D] and [M, D].

    The real pictures cover a ball about each, as far as its k-th nearest other one; precision is the part of
    the generated that lies in one of them, recall the same the other way round. progress: wraps the four
    loops over parts of the sets. Raises ValueError for sets of no more than k.
    """
    least = min(len(real), len(generated))
    if least <= neighbours:
        raise ValueError(f'precision and recall of {least} pictures: expected more than {neighbours}')
    return covered(generated, real, neighbours, progress), covered(real, generated, neighbours, progress)


def covered(points: torch.Tensor, centres: torch.Tensor, neighbours: int, progress: Progress = iter) -> float:
    """The part of the points [N, D] that lies in the ball about a centre [M, D], its rim included."""
    # Each is its own nearest. kthvalue says the same in ten times the time.
    radii = torch.cat([near.topk(neighbours + 1, dim=1, largest=False).values[:, -1]
                       for near in _distances(centres, centres, progress)])
    inside = [(near <= radii).any(dim=1) for near in _distances(points, centres, progress)]
    return float(torch.cat(inside).double().mean())


def _distances(points: torch.Tensor, centres: torch.Tensor, progress: Progress):
    """Distances of some points [n, D] at a time to all centres: [n, M], float64."""
    centres = centres.double()
    for part in progress(points.split(max(1, NUMBERS // len(centres)))):
        yield torch.cdist(part.double(), centres)
