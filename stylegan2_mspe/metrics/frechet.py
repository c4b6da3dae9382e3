"""The Fréchet distance of two Gaussians (Heusel et al. 2017, eq. 6), which FID is of features."""

import numpy as np


def frechet_distance(mean_a: np.ndarray, covariance_a: np.ndarray, mean_b: np.ndarray,
                     covariance_b: np.ndarray) -> float:
    """|μa - μb|² + tr(A + B - 2 (AB)^½) of means [D] and covariances [D, D], in float64.

    tr (AB)^½ is the sum of the roots of the eigenvalues of A^½ B A^½, which is symmetric: nothing becomes
    complex, however many directions have no variance.
    """
    values, vectors = np.linalg.eigh(np.asarray(covariance_a, np.float64))
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    shared = np.linalg.eigvalsh(root @ np.asarray(covariance_b, np.float64) @ root)
    apart = np.asarray(mean_a, np.float64) - np.asarray(mean_b, np.float64)
    spread = np.trace(covariance_a) + np.trace(covariance_b) - 2 * np.sqrt(shared.clip(0)).sum()
    return float(apart @ apart + spread)
