"""The leak of zero padding: how far it reaches at each level, worked out from what the layers read."""

import pytest
import torch

from stylegan2_mspe import leak, rendering
from stylegan2_mspe.pe import Canvas
from tests.test_networks import tiny_generator, tiny_ws


@pytest.mark.parametrize('pe', ['mspe', 'none'])
def test_the_leak_reaches_as_far_as_the_layers_read(pe):
    G = tiny_generator(pe)
    canvas = Canvas.identity(16).extended(16, 16, 24, 24)
    found = leak.leak_map(G, tiny_ws(G, 2), canvas)
    # One cell of 4x4; n cells of a level are inputs of 2n + 2 cells of the next, and the second convolution
    # there adds one.
    for resolution, reach in ((4, 1), (8, 5), (16, 13)):
        level = found.levels[resolution]
        assert level.shape == canvas.cells(resolution)
        inside = level[reach:-reach, reach:-reach]
        assert inside.numel() > 0 and inside.max() < 1e-12
        for border in (level[reach - 1], level[-reach], level[:, reach - 1], level[:, -reach]):
            assert border.max() > 1e-9
    assert list(found.levels) == [4, 8, 16]
    assert found.picture.shape == (48, 64)
    assert found.picture[13:-13, 13:-13].max() < 1e-12 < found.picture[0].min()


def test_the_leak_of_the_picture_is_its_difference():
    G = tiny_generator()
    ws, canvas = tiny_ws(G, 2), Canvas.identity(16).extended(0, 0, 0, 5)
    zero, plane = (rendering.render(G, ws, canvas, 'anchored', 3, border) for border in ('zero', 'plane'))
    found = leak.leak_map(G, ws, canvas, 'anchored', 3).picture
    expected = (zero - plane).pow(2).sum(dim=(0, 1)).div(6).sqrt() / plane.std()
    assert torch.allclose(found, expected, rtol=1e-9) and found.shape == (16, 21)
    assert not G.synthesis.b8._forward_hooks


def test_a_leak_map_of_fresh_noise_is_refused():
    G = tiny_generator()
    with pytest.raises(ValueError, match='expected one that is the same'):
        leak.leak_map(G, tiny_ws(G, 1), noise_mode='random')
