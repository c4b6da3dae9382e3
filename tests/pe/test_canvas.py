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
