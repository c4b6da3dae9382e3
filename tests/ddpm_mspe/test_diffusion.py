"""The forward process: an independent implementation's numbers, and what follows from its definition."""

import numpy as np
import pytest
import torch

from ddpm_mspe.diffusion import Diffusion
from tests.golden import golden


@pytest.fixture
def numbers():
    return golden('diffusion_T1000_linear')


def test_schedule_and_posterior(numbers):
    diffusion = Diffusion()
    t = numbers['t'].tolist()
    torch.testing.assert_close(diffusion.alphas_cumprod[t], torch.tensor(numbers['alphas_cumprod']).double(),
                               rtol=1e-6, atol=0)
    found = torch.tensor([diffusion.posterior(each, each - 1) for each in t], dtype=torch.float64)
    wanted = torch.tensor(np.stack([numbers[name] for name in ('coef1', 'coef2', 'posterior_variance')], 1))
    torch.testing.assert_close(found, wanted.double(), rtol=1e-5, atol=1e-7)


def test_noised_and_back(numbers):
    x0, noise, xt = (torch.tensor(numbers[name]) for name in ('x0', 'eps', 'xt'))
    t = torch.tensor(numbers['t'])
    torch.testing.assert_close(Diffusion().noised(x0, t, noise), xt, rtol=1e-5, atol=1e-6)
    found = Diffusion().x0_from_noise(torch.tensor(numbers['xt']), t, noise)
    torch.testing.assert_close(found, torch.tensor(numbers['x0_from_eps']), rtol=1e-4, atol=1e-4)


def test_no_time_is_read_back_from_a_device():
    """Tensors of the meta device hold nothing that could be read."""
    pictures, t = torch.zeros(2, 3, 4, 5, device='meta'), torch.zeros(2, dtype=torch.int64, device='meta')
    losses = Diffusion().losses(lambda x, t: x, pictures, t, pictures)
    assert losses.shape == (2,) and losses.device.type == 'meta'


def test_posterior_between_distant_times_is_bayes():
    """Mean and variance of x_to given x_t and x0, by conditioning the joint Gaussian of the two."""
    diffusion = Diffusion(steps=50, first=.01, last=.3)
    t, to, x0, xt = 40, 13, .7, -.4
    kept, before = diffusion.kept_at(t), diffusion.kept_at(to)
    prior_mean, prior_variance = before ** .5 * x0, 1 - before
    scale = (kept / before) ** .5                       # x_t = scale x_to + noise
    gain = prior_variance * scale / (scale ** 2 * prior_variance + 1 - scale ** 2)
    of_x0, of_x, variance = diffusion.posterior(t, to)
    assert of_x0 * x0 + of_x * xt == pytest.approx(prior_mean + gain * (xt - scale * prior_mean))
    assert variance == pytest.approx((1 - gain * scale) * prior_variance)


def test_both_outputs_say_the_same_noise():
    """By hand: ā = .64 at the first time of a schedule whose β is .36: x = .8 x0 + .6 ε, v = .8 ε - .6 x0."""
    x0, noise = torch.randn(2, 3, 1, 4, 6, generator=torch.Generator().manual_seed(1)).unbind()
    t = torch.tensor([0, 0, 0])
    for output, said in [('noise', noise), ('velocity', .8 * noise - .6 * x0)]:
        diffusion = Diffusion(steps=2, first=.36, last=.5, output=output)
        found = diffusion.predicted(lambda x, t: said, .8 * x0 + .6 * noise, t)
        torch.testing.assert_close(found, noise)
        torch.testing.assert_close(diffusion.noise_to_signal(t, x0), torch.full([3], .75))


def test_losses_are_one_a_picture():
    diffusion, t = Diffusion(), torch.tensor([0, 500, 999])
    x0, noise = torch.randn(2, 3, 3, 4, 6, generator=torch.Generator().manual_seed(0)).unbind()
    seen = []
    found = diffusion.losses(lambda x, at: seen.append((x, at)) or torch.ones_like(x), x0, t, noise)
    torch.testing.assert_close(found, (noise - 1).square().mean(dim=(1, 2, 3)))
    assert torch.equal(seen[0][1], t)
    torch.testing.assert_close(seen[0][0], diffusion.noised(x0, t, noise))
    assert diffusion.losses(lambda x, at: x, x0[:0], t[:0], noise[:0]).shape == (0,)


@pytest.mark.parametrize('wrong', [dict(steps=0), dict(steps=10.), dict(first=0.), dict(first=.1, last=.05),
                                   dict(last=1.), dict(variance='learned'), dict(output='x0'),
                                   dict(first=float('nan'))])
def test_refuses(wrong):
    with pytest.raises(ValueError, match='expected'):
        Diffusion(**wrong)
