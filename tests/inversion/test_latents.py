"""What mapped latents look like, worked out by hand."""

import pytest
import torch

from stylegan2_mspe.inversion.latents import Statistics


def statistics_of(*w):
    w = torch.tensor(w)
    return Statistics(w.mean(dim=0, keepdim=True), 1.0, w, w)


def test_rarity_is_in_deviations_along_the_principal_axes():
    known = statistics_of((3.0, 1.0), (-1.0, 1.0), (1.0, 2.0), (1.0, 0.0))      # about (1, 1)
    # The variances are 8/3 and 2/3: 2² / (8/3) = 1.5 and 1² / (2/3) = 1.5, each with nothing in the other.
    found = known.rarity(torch.tensor([[3.0, 1.0], [1.0, 0.0], [1.0, 1.0], [3.0, 2.0]]))
    assert found.tolist() == [pytest.approx(value, abs=1e-6) for value in (0.75, 0.75, 0, 1.5)]


def test_rarity_does_not_mind_turned_axes_and_is_about_one_for_samples():
    random = torch.Generator().manual_seed(0)
    w = torch.randn(500, 6, generator=random) * torch.tensor([1, 2, 3, 4, 5, 6.0])
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=random))
    plain, turned = statistics_of(*w.tolist()), statistics_of(*(w @ turn).tolist())
    torch.testing.assert_close(turned.rarity(w @ turn), plain.rarity(w), rtol=1e-3, atol=1e-4)
    assert plain.rarity(w).mean().item() == pytest.approx(499 / 500, rel=1e-4)


def test_directions_without_samples_are_rare_but_finite():
    known = statistics_of((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
    found = known.rarity(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    assert found.isfinite().all() and found[1] > 100 * found[0]
