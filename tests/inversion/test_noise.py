"""Noise maps: sizes, statistics, the penalty worked out by hand, and that the layers take them."""

import pytest
import torch

from stylegan2_mspe.inversion import noise
from stylegan2_mspe.inversion.projection import draw
from stylegan2_mspe.pe import Canvas
from tests.inversion.small import make_generator, place_at


@pytest.fixture(scope='module')
def G():
    return make_generator()


def test_every_layer_has_a_map_of_the_size_of_its_level(G):
    maps = noise.random_maps(G.synthesis, Canvas.identity(16).extended(0, 4, 8, 0), 3, seed=1)
    assert {name: tuple(map.shape) for name, map in maps.items()} == {
        'b4.conv1': (3, 1, 5, 6), 'b8.conv0': (3, 1, 10, 12), 'b8.conv1': (3, 1, 10, 12),
        'b16.conv0': (3, 1, 20, 24), 'b16.conv1': (3, 1, 20, 24)}
    again = noise.random_maps(G.synthesis, Canvas.identity(16).extended(0, 4, 8, 0), 3, seed=1)
    assert all(torch.equal(maps[name], again[name]) and maps[name].requires_grad for name in maps)


@pytest.mark.parametrize('border', ['zero', 'plane'])
def test_the_layers_take_the_maps_and_forget_them(G, border, monkeypatch):
    monkeypatch.setattr(G.synthesis, 'border', border)
    ws = G.mapping(torch.randn(2, 8, generator=torch.Generator().manual_seed(0)), None)
    place = place_at(G, (0, 0), (0, 0))
    stored = {name: layer.noise_const.expand(2, 1, -1, -1)
              for name, layer in noise.noise_layers(G.synthesis).items()}
    torch.testing.assert_close(draw(G, ws, place, maps=stored, fixed=True), draw(G, ws, place, fixed=True))
    still = {name: torch.zeros_like(map) for name, map in stored.items()}
    torch.testing.assert_close(draw(G, ws, place, maps=still, fixed=True),
                               draw(G, ws, place, noise_mode='none', fixed=True))
    mixed = {name: torch.stack([stored[name][0], still[name][0]]) for name in stored}
    both = draw(G, ws, place, maps=mixed, fixed=True)
    torch.testing.assert_close(both[1:], draw(G, ws, place, noise_mode='none', fixed=True)[1:])
    torch.testing.assert_close(G.synthesis(ws, noise_mode='const'), draw(G, ws, place, fixed=True))
    assert not torch.allclose(both[0], both[1])


def test_the_penalty_by_hand():
    """A map of ones: 1 in both directions; halved it is a map of twos, 4² in both."""
    ones = torch.ones(1, 1, 16, 16)
    assert noise.penalty({'a': ones}).item() == pytest.approx(2 * (1 + 16))
    assert noise.penalty({'a': ones, 'b': ones[:, :, :8, :8]}).item() == pytest.approx(2 * (1 + 16) + 2)
    rows = torch.tensor([1.0, -1.0]).repeat(8)[None, None, :, None].expand(1, 1, 16, 16)
    assert noise.penalty({'a': rows}).item() == pytest.approx(2)        # -1 down, 1 across, and then zeros
    white = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(white, 3, 1, 1) * 3
    assert (noise.penalty({'a': white}) < 0.1).all() and (noise.penalty({'a': smooth}) > 0.5).all()


def test_normalised_maps():
    maps = {'a': 3 + 2 * torch.randn(2, 1, 8, 12, generator=torch.Generator().manual_seed(0))}
    noise.normalise(maps)
    torch.testing.assert_close(maps['a'].mean(dim=(1, 2, 3)), torch.zeros(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(maps['a'].square().mean(dim=(1, 2, 3)), torch.ones(2))
