"""The deviation over noise maps, against the pictures themselves."""

import pytest
import torch

from stylegan2_mspe import networks, rendering, similarity
from stylegan2_mspe.metrics.noise_deviation import noise_deviation
from tests.golden import fill


def make_generator():
    torch.manual_seed(0)
    return fill(networks.Generator(8, 0, 8, 64, 1, synthesis_kwargs=dict(channel_base=256, channel_max=8,
                                                                         pe='mspe')), seed=3)


def test_noise_deviation_is_the_one_of_its_pictures():
    G, count = make_generator(), 80
    ws = rendering.seed_ws(G, [5])
    before = torch.get_rng_state()
    found = noise_deviation(G, ws, maps=count, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    greys = similarity.grey(rendering.render(G, ws.expand(count, -1, -1), None, 'random')).double() * 255
    expected = ((greys - greys.mean(dim=0)) ** 2).mean(dim=0).sqrt()        # of torch's own noise
    assert found.shape == (64, 64) and float(found.mean()) == pytest.approx(float(expected.mean()), rel=0.05)
    assert torch.corrcoef(torch.stack([found.flatten(), expected.flatten()]))[0, 1] > 0.9
    assert float(found.mean()) > 1


def test_noise_is_by_the_seed_and_no_batch():
    G = make_generator()
    ws = rendering.seed_ws(G, [5])
    found = noise_deviation(G, ws, maps=5, seed=3)
    torch.testing.assert_close(noise_deviation(G, ws, maps=5, seed=3, batch=2), found, rtol=1e-3, atol=1e-3)
    assert (noise_deviation(G, ws, maps=5, seed=4) - found).abs().mean() > 0.1 * found.mean()


def test_where_there_is_no_noise_nothing_deviates():
    quiet = make_generator()
    for name, parameter in quiet.named_parameters():
        if name.endswith('noise_strength'):
            parameter.zero_()
    assert float(noise_deviation(quiet, rendering.seed_ws(quiet, [5]), 4, 0).max()) < 1e-3
