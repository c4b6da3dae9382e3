"""Pictures drawn in tiles into a file: the same as whole ones, and gone on with after an interruption."""

import pathlib

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan2_mspe import images, large_picture, rendering, streaming
from stylegan2_mspe.growing_png import unfinished_recipe
from stylegan2_mspe.large_picture import Look
from stylegan2_mspe.pe import Canvas
from tests.drawn import assert_alike, make_generator, read

CANVAS = Canvas.identity(16).extended(8, 13, 10, 31).shifted(2.5, 0, wrap=False)        # 37 x 57


def quiet_network(channels):
    """(G, ws) of a network whose pictures are not clipped."""
    G = make_generator(img_channels=channels)
    with torch.no_grad():
        for block in G.synthesis.children():
            block.torgb.weight.mul_(0.2)
            block.torgb.bias.mul_(0.2)
    return rendering.prepare(G, 'cpu'), rendering.seed_ws(G, [3])


@pytest.fixture(scope='module')
def rgb():
    return quiet_network(3)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stop_after(count):
    """A progress that is interrupted while the next tile is drawn."""
    def progress(tiles, total):
        for number, tile in enumerate(tiles):
            if number == count:
                raise KeyboardInterrupt
            yield tile
    return progress


@pytest.mark.parametrize('look', [Look(), Look(noise_mode='anchored', noise_seed=7, border='plane')])
@pytest.mark.parametrize('channels, tile', [(1, 16), (3, 20), (4, 16)])
def test_the_file_is_the_whole_picture(look, channels, tile):
    G, ws = quiet_network(channels)
    assert large_picture.draw('a.png', G, ws, CANVAS, look, tile)
    whole = rendering.render(G, ws, CANVAS, look.noise_mode, look.noise_seed, look.border)
    assert_alike(read('a.png'), images.to_uint8(whole[0]))
    with Image.open('a.png') as image:
        assert image.mode == images.MODES[channels] and 'Recipe' in image.info


def test_a_window_is_that_part_of_the_file(rgb):
    large_picture.draw('a.png', *rgb, CANVAS, tile=16)
    large_picture.draw('b.png', *rgb, CANVAS, Look(window=(5, 11, 30, 41)), tile=16)
    assert_alike(read('b.png'), read('a.png')[:, 5:35, 11:52])


@pytest.mark.parametrize('look', [Look(), Look(window=(3, 2, 33, 50), border='plane', noise_mode='anchored')])
@pytest.mark.parametrize('stop, bands', [(3, 0), (4, 1), (9, 2)])
def test_an_interrupted_picture_goes_on_to_the_same_bytes(rgb, look, stop, bands):
    large_picture.draw('whole.png', *rgb, CANVAS, look, tile=16)
    with pytest.raises(KeyboardInterrupt):
        large_picture.draw('a.png', *rgb, CANVAS, look, 16, progress=stop_after(stop))
    assert large_picture.recorded_tile('a.png') == (16 if bands else None)
    left = []
    assert large_picture.draw('a.png', *rgb, CANVAS, look, 16, resume=True,
                              progress=lambda tiles, total: left.append(total) or tiles)
    assert left == [4 * (3 - bands)]
    assert pathlib.Path('a.png').read_bytes() == pathlib.Path('whole.png').read_bytes()


def test_what_is_complete_is_left_alone(rgb):
    G, ws = rgb
    assert large_picture.draw('a.png', G, ws, CANVAS, tile=16, resume=True)
    assert large_picture.recorded_tile('a.png') == 16
    before = pathlib.Path('a.png').stat().st_mtime_ns
    assert not large_picture.draw('a.png', G, ws, CANVAS, tile=16, resume=True)
    assert pathlib.Path('a.png').stat().st_mtime_ns == before
    assert large_picture.draw('a.png', G, ws, CANVAS.shifted(0, 1), tile=16, resume=True)
    assert large_picture.draw('a.png', G, ws, CANVAS.shifted(0, 1), tile=16)


@pytest.mark.parametrize('other, text', [
    (dict(canvas=CANVAS.shifted(1, 0)), 'with canvas'), (dict(tile=32), 'with tile 16 and not 32'),
    (dict(look=Look(border='plane')), 'with border zero and not plane'), (dict(seed=4), 'with latent'),
    (dict(look=Look(noise_seed=1)), 'with noise_seed 0 and not 1'),
])
def test_another_picture_is_not_gone_on_with(rgb, other, text):
    G, ws = rgb
    with pytest.raises(KeyboardInterrupt):
        large_picture.draw('a.png', G, ws, CANVAS, Look(), 16, progress=stop_after(5))
    ws = rendering.seed_ws(G, [other.get('seed', 3)])
    with pytest.raises(ValueError, match=f'a.png.part: found a picture {text}'):
        large_picture.draw('a.png', G, ws, other.get('canvas', CANVAS), other.get('look', Look()),
                           other.get('tile', 16), resume=True)


def test_another_network_has_another_recipe(rgb):
    G, ws = rgb
    other = rendering.prepare(make_generator(), 'cpu')      # louder
    mine, its = (large_picture.describe(each, ws, CANVAS, Look(), 16) for each in (G, other))
    assert {name for name in mine if mine[name] != its[name]} == {'network'}


def test_bands_are_put_together_from_the_left():
    pixels = torch.linspace(-1, 1, 2 * 5 * 7).reshape(2, 5, 7)
    tiles = [(y, x, pixels[:, y:y + 2, x:x + 3]) for y in (0, 2, 4) for x in (0, 3, 6)]
    found = list(large_picture.bands(tiles, 7))
    assert [band.shape for band in found] == [(2, 2, 7), (2, 2, 7), (2, 1, 7)]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), images.to_uint8(pixels))


def test_the_tile_follows_the_memory(rgb):
    G, _ = rgb
    smallest = streaming.halo(G)
    for tile in (smallest, smallest + 4, 64):
        count = streaming.tile_bytes(G, tile) + tile * large_picture.BAND_COPIES * 1000 * 3
        assert large_picture.tile_within(G, 1000, count) == tile
        if tile > smallest:
            assert large_picture.tile_within(G, 1000, count - 1) == tile - 4
    assert large_picture.tile_within(G, 1000, 10 ** 12) == streaming.checked_tile(G, None)
    with pytest.raises(ValueError, match=f'of memory: expected at least .* for a tile of {smallest} pixels'):
        large_picture.tile_within(G, 1000, 1000)


def test_what_cannot_be_drawn_in_tiles(rgb):
    G, ws = rgb
    with pytest.raises(ValueError, match='--noise-mode=random: expected const, anchored or none'):
        large_picture.draw('a.png', G, ws, CANVAS, Look(noise_mode='random'))
    with pytest.raises(ValueError, match=f'a tile of 2 pixels: expected at least {streaming.halo(G)}'):
        large_picture.draw('a.png', G, ws, CANVAS, tile=2)
    sentence = '--window: a window of 9x9 pixels at 30,0: expected one inside .* 37x57'
    with pytest.raises(ValueError, match=sentence):
        large_picture.draw('a.png', G, ws, CANVAS, Look(window=(30, 0, 9, 9)))
    assert not list(pathlib.Path().iterdir()) and unfinished_recipe('a.png') is None
