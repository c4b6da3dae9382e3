"""Tiles, windows and borders against whole pictures: what is drawn does not depend on how it is cut."""

import random

import pytest
import torch

from stylegan2_mspe import images, networks, rendering, streaming
from stylegan2_mspe.pe import Canvas, Window
from tests.test_networks import tiny_generator, tiny_ws

R = 16                  # the trained size, and as far as anything is seen: four cells of 4x4


def close(ours, theirs, tolerance=1e-12):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.std()


def random_canvas(chance):
    """Extended, moved, repeated, mirrored, magnified and resized, or some of it."""
    sides = [chance.randint(-4, 12) for _ in range(4)]
    canvas = Canvas.identity(R).extended(*sides)
    if chance.random() < .5:
        canvas = canvas.repeated(rows=(2, 2 + chance.randint(1, 6), 3), mirror=chance.random() < .5)
    wrap = (chance.random() < .5, chance.random() < .5)
    canvas = canvas.shifted(chance.uniform(-20, 20), chance.randint(-9, 9), wrap)
    if chance.random() < .5:
        canvas = canvas.resized(chance.randint(8, 40), chance.randint(8, 40))
    return canvas.zoomed(1.37, y=3) if chance.random() < .3 else canvas


def random_box(chance, height, width):
    top, left = chance.randrange(height), chance.randrange(width)
    return top, left, chance.randint(1, height - top), chance.randint(1, width - left)


NETWORKS = [dict(pe='mspe'), dict(pe='none'), dict(pe='sspe', architecture='orig'),
            dict(pe='mspe', architecture='resnet'), dict(pe='none', architecture='resnet', kernel_size=5),
            dict(pe='mspe', kernel_size=1), dict(pe='mspe', resample_filter=[1, 2, 3, 4, 1, 1]),
            dict(pe='mspe', resample_filter=[1, 2, 1], architecture='resnet')]


@pytest.mark.parametrize('border', ['zero', 'plane'])
@pytest.mark.parametrize('case', range(2 * len(NETWORKS)))
def test_tiles_are_the_whole_and_a_window_is_a_part_of_it(case, border):
    chance = random.Random(f'{case} {border}')
    G = tiny_generator(**NETWORKS[case % len(NETWORKS)])
    canvas, seed, ws = random_canvas(chance), chance.randrange(2 ** 40), tiny_ws(G, 1, case)
    look = (['const', 'anchored', 'none'][case % 3], seed, border)
    whole = rendering.render(G, ws, canvas, *look)[0]
    assert whole.shape == (3, canvas.height, canvas.width)
    tile = chance.randint(streaming.halo(G), streaming.halo(G) + 6)
    close(streaming.render(G, ws, canvas, tile, *look), whole)
    for _ in range(2):
        top, left, height, width = box = random_box(chance, canvas.height, canvas.width)
        part = streaming.render(G, ws, canvas, None, *look, window=box)
        assert (part - whole[:, top:top + height, left:left + width]).abs().max() <= 1e-12 * whole.std()


def test_a_small_window_of_several_pictures_is_that_part_of_them():
    G = tiny_generator()
    ws, canvas = tiny_ws(G, 3), Canvas.identity(R).extended(40, 40, 40, 40)
    whole = rendering.render(G, ws, canvas, 'anchored', torch.tensor([4, 9, -1]))
    part = rendering.render(G, ws, Window(canvas, 37, 50, 3, 1), 'anchored', torch.tensor([4, 9, -1]))
    assert (part - whole[:, :, 37:40, 50:51]).abs().max() <= 1e-12 * whole.std()
    other = rendering.render(G, ws[:1], Window(canvas, 37, 50, 3, 1), 'anchored', 5)
    assert not torch.allclose(part[:1], other)


@pytest.mark.parametrize('border', ['zero', 'plane'])
def test_tiles_in_float32_and_in_8_bits(border):
    G = tiny_generator(dtype=torch.float32)
    ws, canvas = tiny_ws(G, 1).float(), Canvas.identity(R).extended(25, 20, 13, 40).shifted(3.3, 1)
    whole = rendering.render(G, ws, canvas, 'anchored', 1, border)[0]
    tiled = streaming.render(G, ws, canvas, 40, 'anchored', 1, border)
    assert tiled.dtype == torch.float32
    close(tiled, whole, 1e-5)
    ours, theirs = (images.to_uint8(picture / whole.abs().max()).astype(int) for picture in (tiled, whole))
    assert abs(ours - theirs).max() <= 1 < theirs.max() - theirs.min()


def test_tiles_in_half_precision_are_near():
    G = tiny_generator(dtype=torch.float32, num_fp16_res=2)
    ws, canvas = tiny_ws(G, 1).float(), Canvas.identity(R).extended(20, 20, 20, 20)
    exact = rendering.render(G, ws, canvas)[0]
    networks.set_precision(G, torch.bfloat16)
    whole, tiled = rendering.render(G, ws, canvas)[0], streaming.render(G, ws, canvas, 24)
    rough = (whole - exact).abs().mean()
    assert 0 < rough < .05 * exact.std() and (tiled - exact).abs().mean() < 1.5 * rough


def test_tiles_come_row_by_row_and_are_as_many_as_said():
    G = tiny_generator()
    canvas = Canvas.identity(R).extended(0, 24, 0, 40)      # 40 x 56
    tiles = streaming.tiles(G, tiny_ws(G, 1), canvas, 24)
    found = [(top, left, *pixels.shape) for top, left, pixels in tiles]
    assert found == [(0, 0, 3, 24, 24), (0, 24, 3, 24, 24), (0, 48, 3, 24, 8),
                     (24, 0, 3, 16, 24), (24, 24, 3, 16, 24), (24, 48, 3, 16, 8)]
    assert streaming.count(G, canvas, 24) == 6 and streaming.count(G, canvas) == 1
    box = (5, 7, 20, 49)
    assert streaming.count(G, canvas, 24, box) == 3
    found = [(top, left) for top, left, _ in streaming.tiles(G, tiny_ws(G, 1), canvas, 24, window=box)]
    assert found == [(0, 0), (0, 24), (0, 48)]              # counted from the window's corner


def test_the_trained_canvas_is_the_default():
    G = tiny_generator()
    assert torch.equal(streaming.render(G, tiny_ws(G, 1)), rendering.render(G, tiny_ws(G, 1))[0])


# ----- borders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('network', [dict(pe='mspe'), dict(pe='none'), dict(architecture='resnet')])
def test_a_plane_is_a_canvas_with_four_more_cells_around_that_are_not_shown(network):
    G = tiny_generator(**network)
    ws, canvas = tiny_ws(G, 2), Canvas.identity(R).extended(3, 5, 0, 9).shifted(2.5, 1, wrap=(True, False))
    plane = rendering.render(G, ws, canvas, 'anchored', 3, border='plane')
    larger = rendering.render(G, ws, canvas.extended(R, R, R, R), 'anchored', 3)
    close(plane, larger[:, :, R:-R, R:-R])
    assert not torch.allclose(plane, rendering.render(G, ws, canvas, 'anchored', 3), atol=1e-3)


def test_the_trained_box_is_the_same_on_every_plane():
    chance, G = random.Random(0), tiny_generator()
    ws, identity = tiny_ws(G, 2), Canvas.identity(R)
    box = rendering.render(G, ws, identity, 'anchored', 8, border='plane')
    for _ in range(4):
        top, bottom, left, right = (4 * chance.randrange(9) for _ in range(4))
        larger = identity.extended(top, bottom, left, right)
        picture = rendering.render(G, ws, larger, 'anchored', 8, border='plane')
        close(picture[:, :, top:top + R, left:left + R], box)


@pytest.mark.parametrize('dy, dx', [(4, 0), (-4, 8), (12, -4)])
def test_on_a_plane_a_wrapped_shift_by_cells_rolls_the_picture(dy, dx):
    G = tiny_generator()
    ws = tiny_ws(G, 2)
    still, moved = (rendering.render(G, ws, Canvas.identity(R).shifted(*shift), 'anchored', 5, 'plane')
                    for shift in ((0, 0), (dy, dx)))
    close(moved, still.roll((dy, dx), dims=(2, 3)))


@pytest.mark.parametrize('dy, dx', [(4, 0), (4, 8)])
def test_on_a_plane_a_shift_without_wrapping_translates_the_picture(dy, dx):
    G = tiny_generator()
    ws, canvas = tiny_ws(G, 2), Canvas.identity(R).extended(0, 4, 8, 12)
    still, moved = (rendering.render(G, ws, canvas.shifted(*shift, wrap=False), 'anchored', 5, 'plane')
                    for shift in ((0, 0), (dy, dx)))
    close(moved[:, :, dy:, dx:], still[:, :, :still.shape[2] - dy, :still.shape[3] - dx])
    assert not torch.allclose(moved, still, atol=1e-3)


@pytest.mark.parametrize('noise_mode', ['anchored', 'none'])
def test_copies_of_a_repeated_stretch_agree_away_from_the_seams(noise_mode):
    G = tiny_generator()
    width = 2 * R + 12
    canvas = Canvas.identity(R).extended(0, 0, 16, 48).repeated_world(cols=(-8, width - 8, 3))
    picture = rendering.render(G, tiny_ws(G, 1), canvas, noise_mode, 2)
    first, second, third = (picture[..., 8 + n * width:][..., :width] for n in range(3))
    close(second[..., R:-R], third[..., R:-R])
    close(first[..., R:-R], third[..., R:-R])
    assert not torch.allclose(first[..., :4], second[..., :4], atol=1e-3)          # another thing before it


def test_every_second_copy_of_a_mirrored_stretch_agrees_away_from_the_seams():
    G = tiny_generator()
    width = 2 * R + 8
    canvas = Canvas.identity(R).extended(8, 48, 0, 0).repeated(rows=(8, 8 + width, 4), mirror=True)
    picture = rendering.render(G, tiny_ws(G, 1), canvas, 'anchored', 2, 'plane')
    copies = [picture[:, :, 8 + n * width:][:, :, R:width - R] for n in range(4)]
    close(copies[0], copies[2])
    close(copies[1], copies[3])
    assert not torch.allclose(copies[0], copies[1], atol=1e-3)


# ----- sizes ------------------------------------------------------------------------------------------------


def test_little_is_computed_twice():
    G = networks.Generator(8, 0, 8, 64, 3, synthesis_kwargs=dict(channel_max=4, pe='mspe'))
    canvas = Canvas.identity(64).resized(2048, 2048)
    computed = 0
    for top in range(0, 2048, 512):
        for left in range(0, 2048, 512):
            for resolution, place in G.synthesis.places(Window(canvas, top, left, 512, 512)).items():
                inner, _ = getattr(G.synthesis, f'b{resolution}').sources(place)
                computed += inner.shape[0] * inner.shape[1]
    needed = sum((2048 * resolution // 64) ** 2 for resolution in G.synthesis.block_resolutions)
    assert needed < computed < 1.08 * needed


def test_a_tile_is_chosen_by_memory():
    G = tiny_generator(dtype=torch.float32)
    sides = [streaming.tile_that_fits(G, count) for count in (10 ** 6, 10 ** 7, 10 ** 9)]
    assert sides == sorted(sides) and len(set(sides)) == 3 and all(side % 4 == 0 for side in sides)
    assert streaming.tile_bytes(G, sides[1]) <= 10 ** 7 < streaming.tile_bytes(G, sides[1] + 4)
    assert streaming.tile_that_fits(tiny_generator(), 10 ** 7) < sides[1]          # float64 takes more
    with pytest.raises(ValueError, match='1e-05 GB of memory: expected at least .* for a tile of 16 pixels'):
        streaming.tile_that_fits(G, 10 ** 4)


@pytest.mark.parametrize('resolution, share', [(64, .07), (256, .02)])
def test_a_margin_costs_little_beside_the_picture(resolution, share):
    """The finest level decides, of which the second convolution reads a cell beyond each border."""
    widths = dict(channel_base=16 * resolution, channel_max=64)
    G = networks.Generator(8, 0, 8, resolution, 3, synthesis_kwargs=widths)
    picture, tile = rendering.picture_bytes(G, resolution, resolution), streaming.tile_bytes(G, resolution)
    assert picture < tile < (1 + share) * picture


def test_the_halo_is_the_trained_size():
    assert streaming.halo(tiny_generator()) == R
    assert streaming.halo(tiny_generator(kernel_size=5)) == 6 * R // 4      # six cells of 4x4
    assert streaming.halo(tiny_generator(resolution=32)) == 32


@pytest.mark.parametrize('arguments, words', [
    (dict(tile=15), 'a tile of 15 pixels: expected at least 16'),
    (dict(tile=0), 'a tile of 0 pixels'),
    (dict(window=(0, 0, 17, 4)), 'a window of 17x4 pixels at 0,0: expected one inside the canvas of 16x16'),
    (dict(window=(-1, 0, 4, 4)), 'expected one inside'), (dict(window=(3, 3, 0, 4)), 'expected one inside'),
    (dict(border='none'), "a border 'none': expected zero or plane"),
    (dict(canvas=Canvas.identity(R).extended(0, 0, 0, 9), tile=16, noise_mode='random'),
     'fresh noise in 2 tiles'),
    (dict(canvas=Canvas.identity(64)), 'a 64-pixel world: expected 16')])
def test_wrong_requests_are_refused_in_one_sentence(arguments, words):
    G = tiny_generator()
    with pytest.raises(ValueError, match=words):
        streaming.render(G, tiny_ws(G, 1), **arguments)


def test_a_request_is_checked_before_the_first_tile():
    G = tiny_generator()
    with pytest.raises(ValueError, match='expected one'):
        streaming.tiles(G, tiny_ws(G, 2))
    with pytest.raises(ValueError, match='a tile of 2'):
        streaming.tiles(G, tiny_ws(G, 1), tile=2)
