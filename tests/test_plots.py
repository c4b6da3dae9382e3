"""Plots: round ticks, curves where they belong, and a legend that covers none of them."""

import numpy as np
import pytest

from stylegan2_mspe import plots


def test_ticks_are_round_numbers():
    assert plots.ticks(0, 1, 7) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert plots.ticks(0, 32) == [0, 5, 10, 15, 20, 25, 30]
    assert plots.ticks(-0.31, 0.29, 4) == [-0.2, 0, 0.2]


def test_a_plot_draws_its_curves_where_they_belong():
    xs = np.arange(9)
    curves = {'a': (xs, np.full(9, 0.5)), 'b': (xs, np.full(9, np.nan))}
    plot = plots.line_plot(curves, y_range=(0, 1), size=(400, 300))
    pixels = np.asarray(plot).astype(int)
    assert pixels.shape == (300, 400, 3)
    blue = np.argwhere(np.abs(pixels - [0, 0x72, 0xb2]).max(2) < 12)
    curve = blue[blue[:, 0] < 180]
    middle = (20 + 300 - 58) / 2                                          # of the frame
    assert abs(curve[:, 0].mean() - middle) < 1.5 and np.ptp(curve[:, 1]) > 290
    with pytest.raises(ValueError, match='finite'):
        plots.line_plot({'a': ([1], [np.nan])})


@pytest.mark.parametrize('shape, inside', [
    (lambda x: x, True), (lambda x: 1 - x, True), (lambda x: 0.1 + 0 * x, True),
    (lambda x: 0.9 + 0 * x, True), (lambda x: np.exp(-40 * (x - 0.5) ** 2), True),
    (lambda x: 0.5 + 0.48 * np.sin(50 * x), False)])
def test_the_legend_covers_no_curve(shape, inside):
    xs = np.linspace(0, 1, 400)
    plot = plots.line_plot({'a': (xs, shape(xs)), 'b': ([0], [0.5])}, y_range=(0, 1), size=(360, 220))
    red, _, blue = np.asarray(plot).astype(int).transpose(2, 0, 1)
    left, right = 70, np.flatnonzero(red[220 - 58] < 80)[-1]    # of the axes
    assert (right > 330) == inside                              # else they make room beside them
    curve = blue - red > 60                                     # of its colour, or nearly
    for column in range(left + 8, right - 3):
        row = 20 + (1 - shape((column + 0.5 - left) / (right - left))) * (220 - 58 - 20)
        assert curve[max(int(row) - 5, 0):int(row) + 6, column].any(), column
    assert curve[:, right + 3:].any() != inside                 # the legend has its piece of the line there
