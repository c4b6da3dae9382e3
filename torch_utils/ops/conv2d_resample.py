"""2-D convolution with optional up- or downsampling, each in the order that costs least."""

import torch

from torch_utils.ops import conv2d_gradfix
from torch_utils.ops.upfirdn2d import (downsampling_padding, parse_padding, parse_scaling, upfirdn2d,
                                       upsampling_padding)


def conv2d_resample(x: torch.Tensor, w: torch.Tensor, f: torch.Tensor | None = None, up: int = 1,
                    down: int = 1, padding=0, groups: int = 1, flip_weight: bool = True,
                    flip_filter: bool = False) -> torch.Tensor:
    """Upsamples with filter `f`, convolves with `w`, downsamples with `f`; what is 1 or None is left out.

    x: [N, I, H, W], w: [O, I / groups, kh, kw] → [N, O, H', W']. f: from `setup_filter`; None keeps the
    stuffed zeros and drops pixels without filtering. padding: int, [x, y] or [x0, x1, y0, y1] in pixels of
    the upsampled image, by zeros (negative: crops), beyond the one that makes resampling exactly `up` /
    `down`. flip_weight: True correlates as torch's conv2d does, False convolves; flip_filter as in upfirdn2d.

    The definition is zero-stuff, pad once, and from there only whole windows: filter by up² · f, convolve,
    filter by f, keep every `down`-th. These steps commute, so the cheap order for the case at hand gives the
    same numbers.
    """
    assert x.ndim == 4 and w.ndim == 4 and x.shape[1] == w.shape[1] * groups, (x.shape, w.shape, groups)
    (up, _), (down, _) = parse_scaling(up), parse_scaling(down)
    total = parse_padding(padding)
    if up > 1:
        total = upsampling_padding(f, up) + total
    if down > 1:
        total = downsampling_padding(f, down) + total
    pad = [int(p) for p in total]
    fir = dict(f=f, flip_filter=flip_filter)

    if w.shape[2] == w.shape[3] == 1 and (up == 1) != (down == 1):  # convolve where there are fewest pixels
        if up == 1:
            return _convolve(upfirdn2d(x, down=down, padding=pad, **fir), w, groups, flip_weight)
        return upfirdn2d(_convolve(x, w, groups, flip_weight), up=up, padding=pad, gain=up ** 2, **fir)
    if up > 1:
        x = _upsampling_convolution(x, w, fir, up, pad, groups, flip_weight)
        return upfirdn2d(x, down=down, **fir) if down > 1 else x
    if down > 1:
        return _convolve(upfirdn2d(x, padding=pad, **fir), w, groups, flip_weight, stride=down)
    if pad[0] == pad[1] >= 0 and pad[2] == pad[3] >= 0:
        return _convolve(x, w, groups, flip_weight, padding=(pad[2], pad[0]))
    return _convolve(upfirdn2d(x, f=None, padding=pad), w, groups, flip_weight)


def _convolve(x, w, groups: int, flip_weight: bool, **geometry) -> torch.Tensor:
    return conv2d_gradfix.conv2d(x, _oriented(w, flip_weight), groups=groups, **geometry)


def _oriented(w: torch.Tensor, as_it_is: bool) -> torch.Tensor:
    return w if as_it_is or w.shape[2] == w.shape[3] == 1 else w.flip([2, 3])


def _upsampling_convolution(x, w, fir: dict, up: int, pad: list[int], groups: int,
                            flip_weight: bool) -> torch.Tensor:
    """Transposed convolution, which skips the stuffed zeros, then the filter on the large picture.

    A transposed convolution yields every output that can differ from zero, i.e. pads by taps − 1 before and
    by taps − up after the zero-stuffed picture; the filter's padding makes up the difference to what was
    asked for, and where both sides ask for less the transposed convolution need not compute it.
    """
    height, width = w.shape[2:]
    rest_x = [pad[0] - (width - 1), pad[1] - (width - up)]
    rest_y = [pad[2] - (height - 1), pad[3] - (height - up)]
    crop_x, crop_y = max(-max(rest_x), 0), max(-max(rest_y), 0)
    outputs, inputs = w.shape[0] // groups, w.shape[1]
    w = _oriented(w, not flip_weight)  # a transposed convolution convolves where conv2d correlates
    w = w.reshape(groups, outputs, inputs, height, width).transpose(1, 2)
    w = w.reshape(groups * inputs, outputs, height, width)
    x = conv2d_gradfix.conv_transpose2d(x, w, stride=up, padding=(crop_y, crop_x), groups=groups)
    rest = [rest_x[0] + crop_x, rest_x[1] + crop_x, rest_y[0] + crop_y, rest_y[1] + crop_y]
    return upfirdn2d(x, padding=rest, gain=up ** 2, **fir)
