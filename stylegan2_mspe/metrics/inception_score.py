"""The Inception score (Salimans et al. 2016): are pictures surely of a class, and all classes as frequent?"""

import numpy as np
import torch

SPLITS = 10


def inception_score(probabilities: np.ndarray, splits: int = SPLITS) -> tuple[float, float]:
    """(mean, standard deviation) of exp E KL(p(y|x) || p(y)) over splits of the probabilities [N, classes].

    Raises ValueError for fewer pictures than splits.
    """
    p = np.asarray(probabilities, np.float64)
    if len(p) < splits:
        raise ValueError(f'the Inception score of {len(p)} pictures: expected at least {splits}')
    scores = []
    for part in np.array_split(p, splits):
        common = part.mean(axis=0, keepdims=True)
        ratio = np.log(np.where(part > 0, part, 1)) - np.log(np.where(common > 0, common, 1))
        scores.append(np.exp((part * ratio).sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def check_probabilities(values: torch.Tensor) -> torch.Tensor:
    """The values [N, classes], as they are. Raises ValueError for rows that are no probabilities."""
    if values.ndim != 2 or (values < 0).any() or not ((values.sum(dim=1) - 1).abs() <= 1e-3).all():
        raise ValueError('the detector gives what are no probabilities of classes, expected some, as '
                         'inception-2015-12-05.pt gives')
    return values
