"""Axes, canvases and level coordinates against values worked out by hand."""

import pytest
import torch

from stylegan2_mspe.pe import Axis, Canvas


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_identity_is_the_papers_index_at_every_level():
    for resolution in (4, 8, 16, 32, 64):
        y, x, wraps = Canvas.identity(64).coordinates(resolution)
        assert torch.equal(y, torch.arange(resolution, dtype=torch.float64)) and torch.equal(x, y)
        assert wraps == (False, False)


@pytest.mark.parametrize('wrap', [False, True])
def test_a_shift_moves_every_level_by_its_own_cells(wrap):
    canvas = Canvas.identity(64).shifted(16, 3, wrap=wrap)
    y, x, wraps = canvas.coordinates(4)             # 16 world pixels are one cell of 4x4; 3 are 3/16
    assert torch.equal(y, vector(3, 0, 1, 2) if wrap else vector(-1, 0, 1, 2))
    assert torch.equal(x, vector(-.1875, .8125, 1.8125, 2.8125))
    assert wraps == (wrap, wrap)
    y = canvas.coordinates(16).y                    # 4 cells of 16x16
    moved = torch.arange(-4., 12.).double()
    assert torch.equal(y, moved.remainder(16) if wrap else moved)


def test_wrapping_happens_on_world_positions():
    # Shift 10 of 64: the centre of cell 0 of 4x4 is at 8 - 10 = -2, world pixel 62: coordinate 62/16 - 1/2.
    assert torch.equal(Canvas.identity(64).shifted(10, 0).coordinates(4).y, vector(3.375, .375, 1.375, 2.375))


def test_shifts_add_up_and_a_whole_turn_is_none():
    identity = Canvas.identity(32)
    canvas = identity.shifted(2.5, -1).shifted(1.5, 1)
    assert canvas == identity.shifted(4, 0) and hash(canvas) == hash(identity.shifted(4, 0))
    assert torch.equal(identity.shifted(32, 64).coordinates(8).y, identity.coordinates(8).y)


def test_resized_matches_the_designs_formula():
    y, x, _ = Canvas.identity(256).resized(384, 256).coordinates(64)
    assert y.shape == (96,) and x.shape == (64,)
    assert torch.allclose(y, (torch.arange(96).double() + .5) * 256 / 384 - .5, rtol=0, atol=1e-12)
    assert torch.equal(x, torch.arange(64.).double())


def test_extended_keeps_the_trained_cells_and_counts_on():
    canvas = Canvas.identity(64).extended(16, 0, 32, 32)
    assert (canvas.height, canvas.width) == (80, 128)
    assert torch.equal(canvas.coordinates(4).y, vector(-1, 0, 1, 2, 3))
    assert torch.equal(canvas.coordinates(4).x, vector(-2, -1, 0, 1, 2, 3, 4, 5))
    assert canvas.extended(-16, 0, -32, -32) == Canvas.identity(64)


def test_a_size_between_cells_is_rendered_on_the_next_larger():
    canvas = Canvas.identity(64).extended(0, 1, 0, -15)
    assert (canvas.height, canvas.width) == (65, 49)
    assert canvas.cells(4) == (5, 4) and canvas.cells(64) == (80, 64)
    assert canvas.coordinates(8).y.shape == (10,)


def test_zoom_magnifies_about_a_point():
    canvas = Canvas.identity(64).zoomed(2, y=0, x=32)
    assert torch.equal(canvas.rows.world(vector(0, 10, 64)), vector(0, 5, 32))
    assert torch.equal(canvas.cols.world(vector(0, 32, 64)), vector(16, 32, 48))
    assert torch.equal(Canvas.identity(64).zoomed(2).rows.world(vector(32)), vector(32))


def test_repeated_stretch_and_its_mirror_image():
    axis, centres = Axis(8).repeated(2, 4, 3), torch.arange(12) + .5
    before, stretch, after = [.5, 1.5], [2.5, 3.5], [4.5, 5.5, 6.5, 7.5]
    assert axis.length == 12
    assert torch.equal(axis.world(centres), vector(*before, *stretch, *stretch, *stretch, *after))
    mirrored = Axis(8).repeated(2, 4, 3, mirror=True)
    assert torch.equal(mirrored.world(centres), vector(*before, *stretch, *stretch[::-1], *stretch, *after))


def test_repeating_a_repeat_and_repeating_at_the_borders():
    axis, centres = Axis(4).repeated(0, 4, 2).repeated(2, 6, 2), torch.arange(12) + .5
    assert torch.equal(axis.world(centres), vector(*[.5, 1.5, 2.5, 3.5] * 3))
    turned = Axis(4).repeated(1, 3, 2).repeated(0, 6, 2, mirror=True)
    once = [.5, 1.5, 2.5, 1.5, 2.5, 3.5]
    assert torch.equal(turned.world(centres), vector(*once, *once[::-1]))


def test_operations_compose_in_the_order_written():
    canvas = Canvas.identity(64).extended(0, 0, 32, 32).shifted(0, 4, wrap=False).resized(64, 256)
    assert torch.equal(canvas.cols.world(vector(0, 128, 256)), vector(-36, 28, 92))


@pytest.mark.parametrize('make', [
    lambda: Axis(0), lambda: Axis(-3), lambda: Axis(10 ** 9),
    lambda: Canvas.identity(8).extended(0, -8, 0, 0),
    lambda: Axis(8).zoomed(0), lambda: Axis(8).zoomed(float('nan')),
    lambda: Axis(8).repeated(6, 10, 2), lambda: Axis(8).repeated(4, 4, 2), lambda: Axis(8).repeated(0, 4, 0),
    lambda: Axis(8).repeated(.5, 1.5, 2), lambda: Axis(8).resized(0), lambda: Axis(8).resized(1.5),
    lambda: Axis(8).shifted(float('nan')), lambda: Axis(8).shifted(float('inf'))])
def test_impossible_axes_are_refused_in_one_sentence(make):
    with pytest.raises(ValueError, match='expected') as error:
        make()
    assert '\n' not in str(error.value)


def test_a_world_range_is_found_where_it_is_shown():
    moved = Axis(64).extended(16, 0).shifted(4)             # output p shows p - 20
    assert moved.showing(10, 30) == (30, 50)
    assert Axis(64).resized(128).showing(10, 30) == (20, 60)
    wrapped = Axis(64).shifted(48).wrapped(64)              # 16 ... 63, then 0 ... 15
    assert wrapped.showing(20, 40) == (4, 24) and wrapped.extended(0, 64).showing(8, 24) == (56, 72)
    mirrored = Axis(8).repeated(0, 8, 2, mirror=True)       # 0 ... 7, 7 ... 0
    assert mirrored.extended(-8, 0).showing(1, 3) == (5, 7)
    assert Axis(8).repeated(2, 4, 3).showing(3, 5) == (7, 9)    # across the end of the last copy


@pytest.mark.parametrize('axis, start, stop', [
    (Axis(64), 60, 70), (Axis(64), -1, 5), (Axis(64), 5, 5), (Axis(64), 9, 5), (Axis(64), float('nan'), 5),
    (Axis(64).resized(96), 1, 5), (Axis(64).shifted(.5), 1, 5), (Axis(8).repeated(2, 4, 2), 1, 6),
    (Axis(64).shifted(16).wrapped(64), 40, 56)])
def test_a_world_range_out_of_sight_is_refused_in_one_sentence(axis, start, stop):
    with pytest.raises(ValueError, match='expected'):
        axis.showing(start, stop)


def test_a_world_range_is_repeated_on_a_canvas():
    canvas = Canvas.identity(64).extended(0, 0, 8, 8).resized(128, 160)
    repeated = canvas.repeated_world(cols=(16, 32, 3), rows=(0, 64, 2), mirror=True)
    assert repeated == canvas.repeated(cols=(48, 80, 3), rows=(0, 128, 2), mirror=True)
    assert (repeated.height, repeated.width) == (256, 224)


def test_repeating_once_changes_nothing():
    canvas = Canvas.identity(64).shifted(3, 5)
    assert canvas.repeated((16, 32, 1), (0, 64, 1)) == canvas


def test_levels_of_a_repeated_stretch_are_these():
    # World columns 16:32 of 64 three times: 0:32, 16:32, 16:32, 32:64. A cell of 4x4 has 16 pixels, of 8x8 8.
    canvas = Canvas.identity(64).repeated(cols=(16, 32, 3))
    assert torch.equal(canvas.coordinates(4).x, vector(0, 1, 1, 1, 2, 3))
    assert torch.equal(canvas.coordinates(8).x, vector(0, 1, 2, 3, 2, 3, 2, 3, 4, 5, 6, 7))
    mirrored = Canvas.identity(64).repeated(rows=(16, 32, 2), mirror=True)
    assert torch.equal(mirrored.coordinates(8).y, vector(0, 1, 2, 3, 3, 2, 4, 5, 6, 7))
    # Half as many pixels: the centres 8, 24, 40 were at 16, 48, 80, where the world is at 16, 16, 48.
    assert torch.equal(canvas.resized(32, 48).coordinates(4).x, vector(.5, .5, 2.5))
    # Columns 8:24 twice: the centre of the second cell of 4x4, 24, is where the second copy begins, 8.
    odd = Canvas.identity(64).repeated(cols=(8, 24, 2))
    assert torch.equal(odd.coordinates(4).x, vector(0, 0, 1, 2, 3))


def test_levels_of_compositions_are_these():
    # Extended by a cell of 4x4, twice as large, moved by 8: the centre of cell j, at 16 j + 8 output pixels,
    # shows 8 j + 4 - 16 - 8.
    canvas = Canvas.identity(64).extended(16, 0, 0, 0).resized(160, 64).shifted(8, 0, wrap=False)
    expected = (torch.arange(10.).double() * 8 - 20) / 16 - .5
    assert torch.equal(canvas.coordinates(4).y, expected)
    # The middle quarter on the trained size: half a world pixel to a pixel, from 24.
    zoomed = Canvas.identity(64).magnified((16, 16, 32, 32), 64, 64)
    assert torch.equal(zoomed.coordinates(4).y, vector(1, 1.5, 2, 2.5) - .25)
    assert torch.equal(zoomed.coordinates(64).x, (torch.arange(64.).double() + .5) / 2 + 15.5)
    # Wrapping comes last, on world positions: 24 and 40, moved by 32, are 56 and 8 of 64.
    turned = zoomed.resized(32, 32).shifted(0, 32)
    assert torch.equal(turned.coordinates(4).x, vector(3, 0))


def test_cells_beyond_the_canvas_have_coordinates_too():
    canvas = Canvas.identity(64).shifted(16, 0, wrap=False).shifted(0, 8, wrap=(False, True))
    y, x, _ = canvas.coordinates(4, spans=((-2, 1), (2, 6)))
    assert torch.equal(y, vector(-3, -2, -1)) and torch.equal(x, vector(1.5, 2.5, -.5, .5))
