"""Samplers where everything is known: for Gaussian data the exact ε is a linear function of x."""

import pytest
import torch

from ddpm_mspe import samplers
from ddpm_mspe.diffusion import Diffusion

MEAN = torch.tensor([.5, -.3, .1], dtype=torch.float64)
SPREAD = torch.tensor([[.30, .10, .00], [.00, .20, -.15], [.00, .00, .05]], dtype=torch.float64)
COVARIANCE = SPREAD.T @ SPREAD


def exact(diffusion):
    """ε of x_t for data N(MEAN, COVARIANCE): √(1-ā) (ā Σ + (1-ā) I)⁻¹ (x - √ā μ)."""
    def predict(x, t):
        kept = diffusion.kept_at(int(t[0]))
        inverse = torch.linalg.inv(kept * COVARIANCE + (1 - kept) * torch.eye(3, dtype=x.dtype))
        return (1 - kept) ** .5 * (x - kept ** .5 * MEAN) @ inverse
    return predict


def law(sampler, diffusion, times, **kwargs):
    """Mean and covariance of what an affine sampler makes of N(0, I): no sampling, so no sampling error.

    Every step's noise is a set of inputs of its own, and the outputs' dependence on each is measured.
    """
    steps, count = len(times), 3
    inputs = count * (steps + 1)
    basis = torch.eye(inputs, dtype=torch.float64).reshape(inputs, steps + 1, count)
    basis = torch.cat([torch.zeros([1, steps + 1, count], dtype=torch.float64), basis])
    place = {t: index + 1 for index, t in enumerate(times)}
    out = sampler(exact(diffusion), diffusion, basis[:, 0], times, lambda t: basis[:, place[t]], clip=False,
                  **kwargs)
    slopes = out[1:] - out[0]
    return out[0], slopes.T @ slopes


@pytest.mark.parametrize('name, eta', [('ancestral', 1.), ('ddim', 0.), ('ddim', .5), ('ddim', 1.)])
@pytest.mark.parametrize('variance', ['beta', 'posterior'])
def test_gaussian_data_come_out_as_they_are(name, eta, variance):
    diffusion = Diffusion(variance=variance)
    mean, covariance = law(samplers.SAMPLERS[name], diffusion, samplers.strided(1000, 500), eta=eta)
    torch.testing.assert_close(mean, MEAN, rtol=0, atol=.004)
    torch.testing.assert_close(covariance, COVARIANCE, rtol=0, atol=.005)


def test_all_thousand_steps_are_nearer_than_a_hundred():
    error = {}
    for steps in (100, 1000):
        _, covariance = law(samplers.ancestral, Diffusion(), samplers.strided(1000, steps))
        error[steps] = float((covariance - COVARIANCE).abs().max())
    assert error[1000] < .002 < error[100]


def test_from_the_middle_the_law_is_kept():
    """Data noised to t = 400 and brought back are data again (the reconstruction's premise)."""
    diffusion = Diffusion()
    kept = diffusion.kept_at(399)
    generator = torch.Generator().manual_seed(1)
    draw = lambda: torch.randn(40000, 3, generator=generator, dtype=torch.float64)
    x = diffusion.noised(MEAN + draw() @ SPREAD, torch.full([40000], 399), draw())
    assert kept < .3
    out = samplers.ancestral(exact(diffusion), diffusion, x, samplers.strided(400, 100), lambda t: draw(),
                             clip=False)
    torch.testing.assert_close(out.mean(0), MEAN, rtol=0, atol=.01)
    torch.testing.assert_close(torch.cov(out.T), COVARIANCE, rtol=0, atol=.01)


def test_ddim_of_eta_one_is_ancestral_with_the_posterior_variance():
    diffusion, times = Diffusion(variance='posterior'), samplers.strided(1000, 20)
    first = law(samplers.ancestral, diffusion, times)
    second = law(samplers.ddim, diffusion, times, eta=1.)
    torch.testing.assert_close(first, second)


def test_one_ancestral_step_by_hand():
    """β from .1 to .2: ā = .9, .72; from t = 1 with ε = 1: x0 = (x - √.28) / √.72, then Eq. 7."""
    diffusion = Diffusion(steps=2, first=.1, last=.2)
    x = torch.tensor([[2.]], dtype=torch.float64)
    drawn = []
    samplers.ancestral(lambda x, t: drawn.append((x, int(t))) or torch.ones_like(x), diffusion, x, [1, 0],
                       lambda t: torch.full_like(x, 10.), clip=False)
    x0 = (2 - .28 ** .5) / .72 ** .5
    wanted = .9 ** .5 * .2 / .28 * x0 + .8 ** .5 * .1 / .28 * 2 + .2 ** .5 * 10
    assert [t for _, t in drawn] == [1, 0] and float(drawn[1][0]) == pytest.approx(wanted)


@pytest.mark.parametrize('name', ['ancestral', 'ddim'])
def test_clipping_bounds_the_picture(name):
    out = samplers.SAMPLERS[name](lambda x, t: -5 * torch.ones_like(x), Diffusion(), torch.zeros(2, 1, 3, 5),
                                  samplers.strided(1000, 7), lambda t: torch.zeros(2, 1, 3, 5))
    torch.testing.assert_close(out, torch.ones_like(out))


@pytest.mark.parametrize('start, steps, wanted', [
    (1000, 1, [999]), (5, None, [4, 3, 2, 1, 0]), (1000, 4, [999, 666, 333, 0]), (1, 1, [0]),
    (7, 3, [6, 3, 0]),
])
def test_strided(start, steps, wanted):
    assert samplers.strided(start, steps) == wanted


def test_strided_times_are_different_for_every_count():
    for steps in range(1, 38):
        times = samplers.strided(37, steps)
        assert len(set(times)) == steps and sorted(times, reverse=True) == times


def test_refuses():
    x, noise, predict = torch.zeros(1, 1), (lambda t: x), (lambda x, t: x)
    for start, steps in ((10, 11), (10, 0), (0, None)):
        with pytest.raises(ValueError, match='steps from t'):
            samplers.strided(start, steps)
    for times in ([], [1000], [3, 3], [1, 2], [0, -1]):
        with pytest.raises(ValueError, match='expected falling'):
            samplers.ddim(predict, Diffusion(), x, times, noise)
    for eta in (-.1, 1.1, float('nan')):
        with pytest.raises(ValueError, match='eta'):
            samplers.ddim(predict, Diffusion(), x, [0], noise, eta=eta)
    for eta in (0., .5, float('nan')):      # Gaussian data would come out with less than their variance
        with pytest.raises(ValueError, match='expected 1 for the ancestral sampler'):
            samplers.ancestral(predict, Diffusion(), x, [0], noise, eta=eta)
