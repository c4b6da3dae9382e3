"""Features of many pictures: their mean and covariance in float64, and each of them where needed."""

import dataclasses
from collections.abc import Iterable

import torch

ROWS = 1024                     # that are added up at a time, so that sums do not depend on batches
ROOM = 1 << 26                  # bytes of features that are kept in any case: another metric may need them


@dataclasses.dataclass(frozen=True)
class Features:
    """Of N pictures, on the CPU."""
    count: int
    mean: torch.Tensor                  # float64 [D]
    covariance: torch.Tensor            # float64 [D, D], of N - 1 degrees of freedom
    values: torch.Tensor | None         # float32 [N, D], where they were kept


def collect(parts: Iterable[torch.Tensor], keep: bool) -> Features:
    """Adds up features [n, D] that come in parts; keep: the features too, however many.

    Raises ValueError where there are fewer than two pictures, or a feature is not finite.
    """
    total, squares, count, kept = 0., 0., 0, []
    for rows in _of_length(parts, ROWS):
        if not rows.isfinite().all():
            raise ValueError('a picture has features that are not finite: expected a network, and a '
                             'detector, that work')
        exact = rows.double()
        total, squares, count = total + exact.sum(dim=0), squares + exact.T @ exact, count + len(rows)
        kept = kept + [rows] if keep or count * rows[0].nbytes <= ROOM else []
    if count < 2:
        raise ValueError(f'features of {count} pictures: expected at least 2')
    mean = total / count
    covariance = (squares - count * mean.outer(mean)) / (count - 1)
    return Features(count, mean, covariance, torch.cat(kept) if kept else None)


def _of_length(parts: Iterable[torch.Tensor], length: int) -> Iterable[torch.Tensor]:
    """The same rows in parts of one length, the last one shorter."""
    waiting = []
    for part in parts:
        waiting.append(part)
        while sum(map(len, waiting)) >= length:
            rows = torch.cat(waiting)
            yield rows[:length]
            waiting = [rows[length:]]
    if sum(map(len, waiting)):
        yield torch.cat(waiting)
