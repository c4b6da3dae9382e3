"""Windows of canvases: the cells that levels need, worked out by hand from what a layer reads."""

import pytest
import torch

from stylegan2_mspe.pe import Canvas, Patch, Span, Window

PLANE = Window.whole(Canvas.identity(64), 'plane')
# What an upsampling 3x3 convolution with four taps reads among stuffed zeros: o - 3 ... o + 2.
BEFORE, AFTER = 3, 2


def halos(patch):
    """Cells beyond the canvas that the levels' pictures have, from the finest one on."""
    found = []
    while patch.resolution > 4:
        patch = patch.grown(1).coarser(BEFORE, AFTER)
        found.append((-patch.rows.start, patch.rows.stop - patch.resolution))
    return found


def test_the_halo_grows_to_three_cells():
    # Halo h needs ceil((h + 1) / 2) + 1 a level down: 0, 2, 3, 3, 3.
    assert halos(PLANE.patch(64)) == [(2, 2), (3, 3), (3, 3), (3, 3)]


@pytest.mark.parametrize('output, inputs', [(6, {2, 3, 4}), (7, {2, 3, 4}), (0, {-1, 0, 1}),
                                            (-1, {-2, -1, 0})])
def test_an_upsampling_convolution_reads_these(output, inputs):
    patch = Patch(PLANE, 32, Span(output, output + 1), Span(0, 2)).coarser(BEFORE, AFTER)
    assert patch.resolution == 16 and set(range(*patch.rows)) == inputs and patch.cols == (-1, 2)


@pytest.mark.parametrize('output, inputs', [(6, {2, 3}), (7, {3, 4})])
def test_the_upsampling_of_a_picture_reads_these(output, inputs):
    patch = Patch(PLANE, 32, Span(output, output + 1), Span(0, 2)).coarser(2, 1)
    assert set(range(*patch.rows)) == inputs


def test_cells_end_with_the_canvas_unless_it_is_a_plane():
    canvas = Canvas.identity(64).extended(0, 1, 0, 0)       # 65 x 64: five rows and four columns of 4x4
    window = Window(canvas, 8, 40, 57, 24)
    patch = window.patch(64)
    assert patch.rows == (8, 65) and patch.cols == (40, 64) and patch.shape == (57, 24)
    assert patch.grown(1).rows == (7, 66) and patch.grown(1).cols == (39, 64)
    assert patch.grown(20).rows == (0, 80)
    coarse = patch.grown(1).coarser(BEFORE, AFTER)          # rows 7 ... 65 read 4 // 2 ... 67 // 2
    assert coarse.rows == (2, 34) and coarse.cols == (18, 32)
    plane = Window(canvas, 8, 40, 57, 24, 'plane').patch(64).grown(20)
    assert plane.rows == (-12, 85) and plane.cols == (20, 84)


def test_padding_is_zeros_at_the_border_and_none_inside():
    canvas = Canvas.identity(64)
    patch = Window(canvas, 0, 20, 10, 44).patch(64)         # at the top, at the right
    inner = patch.grown(1)
    assert patch.padding(inner, 1) == [0, 1, 1, 0]
    source = inner.coarser(BEFORE, AFTER)                   # columns 19 ... 63 from 8 on, rows 0 ... 10 to 6
    assert source.cols == (8, 32) and source.rows == (0, 7)
    assert inner.padding(source, 1) == [1 - 3, 1, 1, 1 - 3]


def test_coordinates_are_those_of_the_whole():
    canvases = tuple(Canvas.identity(64).extended(0, 30, 0, 0).shifted(dy, 1.3) for dy in (0, 2.7))
    patch = Window(canvases, 33, 3, 20, 9).patch(64).grown(1)
    y, x, wraps = patch.coordinates()
    assert y.shape == (2, 22) and x.shape == (2, 11) and wraps == (True, True)
    for index, canvas in enumerate(canvases):
        whole = canvas.coordinates(64)
        assert torch.equal(y[index], whole.y[32:54]) and torch.equal(x[index], whole.x[2:13])
    one = Window(canvases[1], 33, 3, 20, 9).patch(64).grown(1)
    assert torch.equal(one.coordinates().y, y[1])


@pytest.mark.parametrize('box', [(0, 0, 65, 64), (-1, 0, 4, 4), (0, 60, 4, 5), (0, 0, 0, 4), (64, 0, 1, 1)])
def test_a_window_is_inside_its_canvas(box):
    with pytest.raises(ValueError, match='expected one inside the canvas of 64x64'):
        Window(Canvas.identity(64), *box)
    with pytest.raises(ValueError, match="a border 'edge': expected zero or plane"):
        Window(Canvas.identity(64), 0, 0, 4, 4, 'edge')
