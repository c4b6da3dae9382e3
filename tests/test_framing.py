"""What is asked for in pixels of the trained picture, against canvases made by hand."""

import pytest
import torch

from stylegan2_mspe.framing import MAX_PIXELS, Repeat, frame
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.rendering import request_canvas


def worlds(axis, step=1):
    """World positions of the pixels' centres, every `step`th."""
    return (axis.world(torch.arange(0, axis.length, step) + 0.5)).tolist()


def test_with_nothing_asked_it_is_the_trained_picture():
    assert frame(16) == frame(16, wrap=False) == Canvas.identity(16)
    assert frame(16, border='plane') == frame(16, wrap=True) == Canvas.identity(16).wrapped()
    assert frame(16, wrap=False, border='plane') == Canvas.identity(16)


@pytest.mark.parametrize('asked', [
    dict(box=(24, 16), shift=(3, -0.5)), dict(size=(32, 48), shift=(1, 0)), dict(box=(9, 31), wrap=True),
    dict(box=(8, 8), size=(64, 16)), dict(box=(16, 33), shift=(0, 2), wrap=False),
])
def test_without_repeats_and_zoom_it_is_as_before(asked):
    assert frame(16, **asked) == request_canvas(16, **asked)


def test_a_repeated_stretch_is_counted_from_the_trained_corner():
    canvas = frame(16, (16, 24), repeats=(Repeat(0, 4, 2), Repeat(8, 12, 3)))
    assert (canvas.height, canvas.width) == (20, 32)
    assert worlds(canvas.rows) == [*torch.arange(4) + 0.5, *torch.arange(16) + 0.5]
    wanted = [*range(-4, 12), *range(8, 12), *range(8, 12), *range(12, 20)]
    assert worlds(canvas.cols) == [place + 0.5 for place in wanted]


def test_every_second_copy_of_a_mirrored_stretch_is_turned():
    canvas = frame(8, (8, 8), repeats=(None, Repeat(2, 5, 3, mirror=True)), wrap=False)
    assert worlds(canvas.cols) == [place + 0.5 for place in (0, 1, 2, 3, 4, 4, 3, 2, 2, 3, 4, 5, 6, 7)]
    assert canvas.height == 8


def test_what_is_repeated_has_moved_with_the_content():
    canvas = frame(16, shift=(0, 3), repeats=(None, Repeat(4, 8, 2)), wrap=False)
    assert worlds(canvas.cols) == [place + 0.5 for place in [*range(-3, 8), *range(4, 13)]]


def test_a_zoom_fills_the_height_or_the_width():
    canvas = frame(16, zoom=(4, 2, 4, 8), wrap=False)
    assert (canvas.height, canvas.width) == (8, 16)
    assert worlds(canvas.rows)[:3] == [4.25, 4.75, 5.25] and worlds(canvas.cols)[-1] == 9.75
    canvas = frame(16, (16, 32), zoom=(0.5, -8, 10.5, 2), wrap=False)
    assert (canvas.height, canvas.width) == (16, 3)
    assert worlds(canvas.rows)[0] == pytest.approx(0.5 + 0.5 * 10.5 / 16)
    assert worlds(canvas.cols) == pytest.approx([-8 + 1 / 3, -7, -6 - 1 / 3])


def test_a_zoom_has_the_size_that_is_asked_for():
    canvas = frame(16, (16, 16), repeats=(Repeat(0, 16, 2), None), zoom=(8, 0, 16, 16), size=(32, 8))
    assert (canvas.height, canvas.width) == (32, 8)
    assert worlds(canvas.rows, 8) == [8.25, 12.25, 0.25, 4.25]


@pytest.mark.parametrize('asked, text', [
    (dict(repeats=(None, Repeat(8, 20, 2))), '--repeat-x=8:20x2: a world range of 8:20: expected one that'),
    (dict(box=(24, 16), repeats=(Repeat(-5, 2, 2, True), None)), '--mirror-y=-5:2x2: a world range'),
    (dict(zoom=(16, 0, 4, 4)), r'--zoom=16,0,4x4: found a box that is not in .* columns 0:16, 0:16$'),
    (dict(zoom=(0, 0, 17, 4)), '--zoom=0,0,17x4: found a box'),
    (dict(zoom=(0, -0.5, 1, 1)), '--zoom=0,-0.5,1x1: found a box'),
    (dict(box=(2 ** 30, 4)), '--canvas=1073741824x4: expected at most 134217728 pixels along'),
    (dict(size=(2 ** 20, 2 ** 20)), f'--size=1048576x1048576: expected .* and {MAX_PIXELS} in all'),
    (dict(box=(16, 2 ** 27), repeats=(None, Repeat(0, 9, 2))), '--repeat-x=0:9x2: a canvas of 134217737'),
    (dict(box=(2 ** 18, 2 ** 18), repeats=(None, Repeat(0, 9, 2))), 'the picture=262144x262153: expected at'),
])
def test_what_is_not_there_cannot_be_shown(asked, text):
    with pytest.raises(ValueError, match=text):
        frame(16, **asked)
