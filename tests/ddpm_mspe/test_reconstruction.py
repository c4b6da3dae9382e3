"""Reconstruction: there and back, with a network that knows the answer, and with one that doesn't."""

import pytest
import torch

from ddpm_mspe.diffusion import Diffusion
from ddpm_mspe.reconstruction import reconstruct

SHAPE = (2, 3, 4, 6)


def noise(t):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(t))


def knowing(pictures, diffusion):
    """ε for the one picture there is."""
    def predict(x, t):
        kept = diffusion.kept(t, x)
        return (x - kept.sqrt() * pictures) / (1 - kept).sqrt()
    return predict


@pytest.mark.parametrize('sampler', ['ancestral', 'ddim'])
@pytest.mark.parametrize('t, steps', [(1, None), (1, 100), (300, 50), (1000, 20), (7, None)])
def test_who_knows_the_picture_gets_it_back(sampler, t, steps):
    pictures = noise(123).clamp(-1, 1)
    diffusion = Diffusion()
    found = reconstruct(knowing(pictures, diffusion), diffusion, pictures, t, noise, steps=steps,
                        sampler=sampler)
    torch.testing.assert_close(found, pictures, rtol=0, atol=1e-3)


def test_more_noise_keeps_less():
    """With the exact ε of a standard normal, ε = √(1-ā) x, what comes back is alike by about ā."""
    diffusion, pictures = Diffusion(), noise(5)
    predict = lambda x, t: (1 - diffusion.kept(t, x)).sqrt() * x
    kept = []
    for t in (0, 100, 400, 1000):
        x = reconstruct(predict, diffusion, pictures, t, noise, steps=50)
        kept.append(float(torch.corrcoef(torch.stack([x.flatten(), pictures.flatten()]))[0, 1]))
    assert kept[0] == 1 and kept[0] > kept[1] > kept[2] > abs(kept[3])


def test_the_network_sees_the_times_of_the_way_back():
    seen = []
    diffusion = Diffusion()
    reconstruct(lambda x, t: seen.append(t.tolist()) or x, diffusion, noise(1), 5, noise)
    assert seen == [[4, 4], [3, 3], [2, 2], [1, 1], [0, 0]]


@pytest.mark.parametrize('t', [-1, 1001, 2.5])
def test_a_time_outside_the_schedule(t):
    with pytest.raises(ValueError, match='from 0 to 1000'):
        reconstruct(lambda x, t: x, Diffusion(), noise(1), t, noise)
