"""The Fréchet distance against reference numbers, the definition written plainly, and by hand."""

import numpy as np
import pytest
import scipy.linalg
import torch

from stylegan2_mspe.metrics.feature_statistics import collect
from stylegan2_mspe.metrics.frechet import frechet_distance
from tests.golden import golden
from tests.metrics import plain


def moments(values):
    found = collect([torch.from_numpy(values)], keep=False)
    return found.mean.numpy(), found.covariance.numpy()


def test_reference_numbers():
    reference = golden('metrics')
    real, generated = reference['real'], reference['gen']
    found = frechet_distance(*moments(real), *moments(generated))
    assert found == pytest.approx(float(reference['fid']), rel=1e-9)
    few = frechet_distance(*moments(real[:30]), *moments(generated))        # 30 pictures of 48 features
    assert few == pytest.approx(float(reference['fid_first30real']), rel=1e-6)


@pytest.mark.parametrize('counts, dimensions',
                         [((40, 60), 7), ((300, 200), 24), ((10, 90), 24), ((10, 12), 24)])
def test_as_the_definition_says(counts, dimensions):
    random = np.random.RandomState(sum(counts))
    mixing = random.randn(dimensions, dimensions)
    a, b = ((random.randn(count, dimensions) @ mixing).astype(np.float32) for count in counts)
    b += 0.3
    found = frechet_distance(*moments(a), *moments(b))
    assert found == pytest.approx(plain.frechet(a.astype(np.float64), b.astype(np.float64)), rel=1e-5)
    assert found == pytest.approx(frechet_distance(*moments(b), *moments(a)), rel=1e-6)
    covariances = moments(a)[1], moments(b)[1]
    if min(counts) > dimensions:        # scipy's root of a singular matrix is no good
        root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
        apart = moments(a)[0] - moments(b)[0]
        assert found == pytest.approx(apart @ apart + np.trace(sum(covariances) - 2 * root.real), rel=1e-6)


def test_by_hand():
    a, b = np.diag([4., 9., 0.]), np.diag([1., 25., 2.])
    expected = (1 + 4) + (2 - 1) ** 2 + (3 - 5) ** 2 + 2    # |μ|², and (σa - σb)² of every direction
    assert frechet_distance(np.zeros(3), a, np.array([1., 0, -2]), b) == pytest.approx(expected, abs=1e-12)
    assert frechet_distance(np.ones(3), b, np.ones(3), b) == pytest.approx(0, abs=1e-12)
