"""The kernel distance against a reference number and against sums over all pairs, one by one."""

import numpy as np
import pytest

from stylegan2_mspe.metrics.kernel_distance import kernel_distance, squared_discrepancy
from tests.golden import golden
from tests.metrics import plain


def test_reference_number():
    reference = golden('metrics')
    found = squared_discrepancy(*(reference[name][:500].astype(np.float64) for name in ('real', 'gen')))
    assert found == pytest.approx(float(reference['kid_single_subset_500']), rel=1e-9)


@pytest.mark.parametrize('count, dimensions', [(2, 1), (9, 5), (20, 3)])
def test_as_pair_by_pair(count, dimensions):
    random = np.random.RandomState(count)
    a, b = random.randn(count, dimensions), random.randn(count, dimensions) + 0.5
    assert squared_discrepancy(a, b) == pytest.approx(plain.discrepancy(a, b), rel=1e-12, abs=1e-12)
    # Sets of less than a subset's size are taken whole, and their order does not matter.
    found = kernel_distance(a.astype(np.float32), b.astype(np.float32), subsets=3)
    assert found == pytest.approx(plain.discrepancy(a, b), rel=1e-5, abs=1e-6)


def test_subsets_are_drawn_without_repeats_from_either_set_and_averaged():
    random = np.random.RandomState(0)
    a, b = random.randn(400, 4), random.randn(300, 4) + 0.4
    found = [kernel_distance(a, b, subsets=100, size=150, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert found[0] == pytest.approx(found[2], rel=0.1)
    assert found[0] == pytest.approx(squared_discrepancy(a[:300], b), rel=0.2)
    assert abs(kernel_distance(a[:200], a[200:], subsets=100, size=150)) < 0.1 * found[0]
