"""Distances between sets of features [N, D], written as their definitions read, however slow."""

import itertools

import numpy as np


def frechet(a, b):
    """tr (AB)^½ by the eigenvalues of AB itself, which are those of A^½ B A^½."""
    covariances = [np.cov(each.T) for each in (a, b)]
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).astype(complex))
    apart = a.mean(axis=0) - b.mean(axis=0)
    return apart @ apart + sum(map(np.trace, covariances)) - 2 * roots.sum().real


def discrepancy(a, b):
    """The unbiased estimate of Gretton et al. 2012, eq. 4, pair by pair."""
    kernel = lambda x, y: (sum(p * q for p, q in zip(x, y)) / len(x) + 1) ** 3
    count = len(a)
    within = [sum(kernel(x[i], x[j]) for i, j in itertools.permutations(range(count), 2)) for x in (a, b)]
    across = sum(kernel(x, y) for x in a for y in b)
    return sum(within) / (count * (count - 1)) - 2 * across / count ** 2


def covered(points, centres, neighbours):
    """The part of the points that is no farther from a centre than its k-th nearest other one."""
    inside = 0
    for point in points:
        for index, centre in enumerate(centres):
            others = sorted(np.linalg.norm(centre - each) for n, each in enumerate(centres) if n != index)
            if np.linalg.norm(point - centre) <= others[neighbours - 1]:
                inside += 1
                break
    return inside / len(points)
