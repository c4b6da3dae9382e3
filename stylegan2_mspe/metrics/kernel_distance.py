"""The kernel distance of two sets of features (Bińkowski et al. 2018), which KID is of Inception's."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

SUBSETS = 100                   # that are averaged over
SIZE = 1000                     # of a subset, at most


def kernel_distance(real: np.ndarray, generated: np.ndarray, subsets: int = SUBSETS, size: int = SIZE,
                    seed: int = 0, progress: Callable[[Sequence], Iterable] = iter) -> float:
    """The mean of the squared maximum mean discrepancy over random subsets of [N, D] and [M, D].

    progress: wraps the loop over the subsets.
    """
    size = min(size, len(real), len(generated))
    random = np.random.RandomState(seed)
    found = [squared_discrepancy(*(each[random.choice(len(each), size, replace=False)].astype(np.float64)
                                   for each in (real, generated)))
             for _ in progress(range(subsets))]
    return float(np.mean(found))


def squared_discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased MMD² of two sets [N, D] of one size, with the kernel (x·y / D + 1)³; it may be below 0."""
    count, dimensions = a.shape
    kernel = lambda x, y: (x @ y.T / dimensions + 1) ** 3
    within = sum((values := kernel(each, each)).sum() - np.trace(values) for each in (a, b))
    return float(within / (count * (count - 1)) - 2 * kernel(a, b).mean())
