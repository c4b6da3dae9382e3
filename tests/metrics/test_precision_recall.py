"""Precision and recall against reference numbers, loops over all pairs, and points on a line."""

import numpy as np
import pytest
import torch

from stylegan2_mspe.metrics import precision_recall as ours
from tests.golden import golden
from tests.metrics import plain


def test_reference_numbers():
    reference = golden('metrics')
    real, generated = (torch.from_numpy(reference[name]) for name in ('real', 'gen'))
    precision, recall = ours.precision_recall(real, generated)
    assert precision == pytest.approx(float(reference['precision_k3']), abs=1e-6)
    assert recall == pytest.approx(float(reference['recall_k3']), abs=1e-6)


@pytest.mark.parametrize('counts, neighbours', [((40, 30), 3), ((12, 35), 2), ((30, 12), 5)])
def test_as_loops_say_however_many_at_a_time(counts, neighbours, monkeypatch):
    random = np.random.RandomState(neighbours)
    real, generated = random.randn(counts[0], 4), random.randn(counts[1], 4) * 0.8 + 0.5
    monkeypatch.setattr(ours, 'NUMBERS', 100)
    found = ours.precision_recall(*map(torch.from_numpy, (real, generated)), neighbours)
    assert found == (plain.covered(generated, real, neighbours), plain.covered(real, generated, neighbours))
    assert 0 < min(found) and sum(found) < 2


def test_on_a_line():
    real = torch.tensor([[0.], [1.], [3.], [100.]])
    generated = torch.tensor([[-1.], [4.9], [5.1], [200.]])
    # Radii of the real ones, k = 1: 1, 1, 2, 97; of the generated: 5.9, 0.2, 0.2, 194.9. Rims belong to it.
    assert ours.precision_recall(real, generated, 1) == (0.75, 1.0)
    assert ours.precision_recall(real[:3], generated, 1) == (0.5, 1.0)
    assert ours.precision_recall(real[:3], torch.tensor([[50.], [60.]]), 1) == (0.0, 0.0)
    with pytest.raises(ValueError, match='precision and recall of 3 pictures: expected more than 3'):
        ours.precision_recall(real[:3], generated)
