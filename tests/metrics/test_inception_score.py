"""The Inception score of predictions whose score is known, and against its definition."""

import math

import numpy as np
import pytest
import torch

from stylegan2_mspe.metrics.inception_score import check_probabilities, inception_score


def test_by_hand():
    sure = np.tile(np.eye(10), (20, 1))                     # every class, each time surely
    assert inception_score(sure) == pytest.approx((10, 0))
    assert inception_score(np.tile(np.eye(10)[:1], (30, 1))) == pytest.approx((1, 0))   # always one class
    assert inception_score(np.full([40, 8], 1 / 8)) == pytest.approx((1, 0))            # no idea
    halves = np.concatenate([np.tile(np.eye(2), (5, 1)), np.tile(np.eye(2)[:1], (10, 1))])
    assert inception_score(halves, splits=2) == pytest.approx((1.5, 0.5))               # 2 and 1


def test_as_the_definition_says():
    values = np.random.RandomState(0).rand(53, 6).astype(np.float32) ** 4
    p = values / values.sum(axis=1, keepdims=True)
    scores = []
    for part in np.array_split(p.astype(float), 4):
        mean = part.mean(axis=0)
        divergence = [sum(q * math.log(q / m) for q, m in zip(row, mean) if q) for row in part]
        scores.append(math.exp(sum(divergence) / len(part)))
    assert inception_score(p, splits=4) == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-6)


@pytest.mark.parametrize('bad', [torch.full([3, 5], 0.5), torch.tensor([[1.5, -0.5]] * 2),
                                 torch.full([4, 1], 3.), torch.full([2, 2], math.nan), torch.ones(2, 1, 1)])
def test_what_is_no_probability_is_told(bad):
    with pytest.raises(ValueError, match='the detector gives what are no probabilities of classes'):
        check_probabilities(bad)


def test_few_pictures_are_told():
    rows = torch.eye(3)
    assert check_probabilities(rows) is rows
    with pytest.raises(ValueError, match='of 3 pictures: expected at least 10'):
        inception_score(rows.numpy())
