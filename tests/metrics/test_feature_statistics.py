"""Moments of features that come in parts, against numpy's of all at once."""

import numpy as np
import pytest
import torch

from stylegan2_mspe.metrics import feature_statistics


@pytest.mark.parametrize('sizes', [[50], [1, 7, 30, 12], [20, 0, 30], [2] * 25])
def test_as_numpys_however_they_come(sizes, monkeypatch):
    monkeypatch.setattr(feature_statistics, 'ROWS', 16)
    values = torch.from_numpy(np.random.RandomState(0).randn(50, 6).astype(np.float32)) + 1000
    whole = feature_statistics.collect([values], keep=True)
    found = feature_statistics.collect(iter(values.split(sizes)), keep=False)
    assert torch.equal(found.values, values) and torch.equal(whole.values, values) and found.count == 50
    monkeypatch.setattr(feature_statistics, 'ROOM', 40 * 6 * 4)
    assert feature_statistics.collect(values.split(sizes), keep=False).values is None
    assert torch.equal(feature_statistics.collect(values.split(sizes), keep=True).values, values)
    # The same bits: what is added up at a time does not depend on the parts.
    assert torch.equal(found.mean, whole.mean) and torch.equal(found.covariance, whole.covariance)
    exact = values.double().numpy()
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(exact.T), atol=1e-7)


def test_what_has_no_moments_is_told():
    with pytest.raises(ValueError, match='features of 1 pictures: expected at least 2'):
        feature_statistics.collect([torch.zeros(1, 3)], keep=False)
    with pytest.raises(ValueError, match='features of 0 pictures'):
        feature_statistics.collect([], keep=False)
    with pytest.raises(ValueError, match='features that are not finite'):
        feature_statistics.collect([torch.tensor([[1.], [float('nan')]])], keep=False)
