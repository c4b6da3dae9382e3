"""The deviation over noise maps, against the pictures themselves."""

import torch

from stylegan2_mspe import networks, rendering, similarity
from stylegan2_mspe.metrics.noise_deviation import noise_deviation
from tests.golden import fill


def make_generator():
    torch.manual_seed(0)
    return fill(networks.Generator(8, 0, 8, 64, 1, synthesis_kwargs=dict(channel_base=256, channel_max=8,
                                                                         pe='mspe')), seed=3)


def test_noise_deviation_is_the_one_of_its_pictures():
    G = make_generator()
    ws = rendering.seed_ws(G, [5])
    before = torch.get_rng_state()
    found = noise_deviation(G, ws, maps=6, seed=3, batch=4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    pictures = torch.cat([rendering.render(G, ws.expand(count, -1, -1), None, 'random') for count in (4, 2)])
    greys = similarity.grey(pictures).double() * 255
    expected = ((greys - greys.mean(dim=0)) ** 2).mean(dim=0).sqrt()
    torch.testing.assert_close(found, expected)
    assert found.shape == (64, 64) and float(found.mean()) > 1
    quiet = make_generator()
    for name, parameter in quiet.named_parameters():
        if name.endswith('noise_strength'):
            parameter.zero_()
    assert float(noise_deviation(quiet, ws, maps=4).max()) < 1e-3
