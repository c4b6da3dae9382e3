"""upfirdn2d and its shorthands against reference numbers and against its definition in float64 scipy."""

import json

import numpy as np
import pytest
import scipy.signal
import torch

from tests.golden import golden
from torch_utils.ops import upfirdn2d as ops

# f, up [x, y], down [x, y], padding [x0, x1, y0, y1], flip_filter, gain
CASES = [
    ([1, 3, 3, 1], [1, 1], [1, 1], [0, 0, 0, 0], False, 1),
    ([1, 3, 3, 1], [2, 2], [1, 1], [2, 1, 2, 1], False, 4),
    ([1, 3, 3, 1], [1, 1], [2, 2], [1, 1, 1, 1], False, 1),
    ([1, 2, 4], [2, 1], [1, 3], [3, -1, 0, 2], True, 2.5),
    ([[1, 2, 4], [3, 5, -1]], [3, 2], [2, 3], [-1, 4, 2, 0], False, 0.5),
    ([[1, 2, 4], [3, 5, -1]], [1, 1], [2, 1], [5, 0, -2, 3], True, 1),
    (list(range(1, 10)), [2, 3], [1, 1], [4, 7, 3, 9], False, 3),   # separable, kept as one dimension
    (list(range(1, 10)), [1, 2], [3, 1], [9, 2, 12, -3], True, 1),
    ([2], [2, 3], [1, 1], [-2, 5, 6, -1], False, 1),
    (None, [3, 1], [1, 2], [0, 0, 0, 0], False, 2),
    (None, [1, 1], [1, 1], [1, -2, 0, 3], False, 1),
]


def definition(x, f, up, down, padding, flip_filter, gain):
    """Zero-stuff, pad or crop, convolve, decimate: one image after the other, in float64."""
    f = np.ones([1, 1]) if f is None else np.asarray(f.numpy(), dtype=np.float64)
    f = np.outer(f, f) if f.ndim == 1 else f
    f = f[::-1, ::-1] if flip_filter else f
    n, c, height, width = x.shape
    x0, x1, y0, y1 = padding
    stuffed = np.zeros([n, c, height * up[1], width * up[0]])
    stuffed[:, :, ::up[1], ::up[0]] = x
    padded = np.pad(stuffed, [(0, 0), (0, 0), *[(max(a, 0), max(b, 0)) for a, b in ((y0, y1), (x0, x1))]])
    padded = padded[:, :, max(-y0, 0):padded.shape[2] - max(-y1, 0)]
    padded = padded[:, :, :, max(-x0, 0):padded.shape[3] - max(-x1, 0)]
    images = [[scipy.signal.convolve2d(image, f, mode='valid') for image in images] for images in padded]
    return gain * np.array(images)[:, :, ::down[1], ::down[0]]


def picture(*shape, **kwargs):
    return torch.from_numpy(np.random.RandomState(1).standard_normal(shape)).requires_grad_(**kwargs)


@pytest.mark.parametrize('case', CASES)
def test_agrees_with_the_definition(case):
    f, up, down, padding, flip_filter, gain = case
    f = ops.setup_filter(f)
    x = picture(2, 3, 7, 10, requires_grad=False)
    y = ops.upfirdn2d(x, f, up, down, padding, flip_filter, gain)
    expected = definition(x.numpy(), f, up, down, padding, flip_filter, gain)
    assert y.shape == expected.shape and y.dtype == torch.float64
    np.testing.assert_allclose(y, expected, atol=1e-6 * abs(expected).max(), rtol=0)


@pytest.mark.parametrize('case', CASES)
def test_first_and_second_derivatives(case):
    f, up, down, padding, flip_filter, gain = case
    f = ops.setup_filter(f)
    x = picture(1, 2, 5, 7, requires_grad=True)

    def run(x):
        return ops.upfirdn2d(x, f, up, down, padding, flip_filter, gain)

    assert torch.autograd.gradcheck(run, [x], fast_mode=True)
    assert torch.autograd.gradgradcheck(run, [x], fast_mode=True)


def test_agrees_with_reference_numbers():
    data = golden('upfirdn2d')
    for case in json.loads(str(data['cases'])):
        x, y = (torch.from_numpy(data[f'{case["name"]}_{part}']) for part in 'xy')
        result = ops.upfirdn2d(x, ops.setup_filter(case['filter']), case['up'], case['down'],
                               case['padding_x0x1y0y1'], case['flip_filter'], case['gain'])
        assert (result - y).abs().max() < 1e-5 * y.std(), case
    x, f = torch.from_numpy(data['up_x']), ops.setup_filter([1, 3, 3, 1])
    for name, function in (('up', ops.upsample2d), ('down', ops.downsample2d), ('filter', ops.filter2d)):
        y = torch.from_numpy(data[f'{name}_y'])
        assert (function(x, f) - y).abs().max() < 1e-5 * y.std(), name


@pytest.mark.parametrize('taps', [1, 2, 3, 4, 5, 8, 12])
@pytest.mark.parametrize('factor', [2, 3, [3, 2]])
def test_natural_padding_scales_the_size_exactly(taps, factor):
    f = ops.setup_filter(np.arange(1, taps + 1))
    fx, fy = (factor, factor) if isinstance(factor, int) else factor
    x = picture(1, 2, 6, 12, requires_grad=False)
    if taps >= max(fx, fy):  # a shorter filter leaves gaps, and nothing is natural about its padding
        assert ops.upsample2d(x, f, up=factor).shape == (1, 2, 6 * fy, 12 * fx)
        assert ops.downsample2d(x, f, down=factor).shape == (1, 2, 6 // fy, 12 // fx)
    assert ops.filter2d(x, f).shape == x.shape
    assert ops.filter2d(x, f, padding=[1, 2]).shape == (1, 2, 10, 14)


def test_upsampling_keeps_the_level_and_filters_once():
    x = torch.full([1, 1, 9, 11], 2.0)
    y = ops.upsample2d(x, ops.setup_filter([1, 3, 3, 1]))
    torch.testing.assert_close(y[:, :, 2:-2, 2:-2], torch.full([1, 1, 14, 18], 2.0))
    y = ops.downsample2d(x, ops.setup_filter([1, 3, 3, 1]), gain=3)
    torch.testing.assert_close(y[:, :, 1:-1, 1:-1], torch.full([1, 1, 2, 3], 6.0))


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('function', [ops.upsample2d, ops.downsample2d, ops.filter2d])
def test_layout_and_dtype_are_kept_both_ways(function, dtype, layout):
    x = picture(2, 3, 8, 6, requires_grad=False).to(dtype).contiguous(memory_format=layout).requires_grad_()
    f = ops.setup_filter([1, 3, 3, 1])
    y = function(x, f)
    y.backward(y.detach())
    for tensor in (y, x.grad):
        assert tensor.dtype == dtype and tensor.is_contiguous(memory_format=layout)
    exact = function(x.detach().double(), f)
    assert (y - exact).abs().max() < {torch.float32: 1e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]


@pytest.mark.parametrize('shape', [(0, 3, 6, 8), (2, 0, 6, 8), (1, 1, 6, 8), (2, 4, 6, 8)])
def test_empty_grey_and_rgba(shape):
    x = torch.ones(shape, requires_grad=True)
    y = ops.upsample2d(x, ops.setup_filter([1, 3, 3, 1]))
    assert y.shape == (*shape[:2], 12, 16)
    y.sum().backward()
    assert x.grad.shape == x.shape


def test_setup_filter():
    assert ops.setup_filter(None).tolist() == [[1.0]]
    assert ops.setup_filter(3.0, normalize=False).tolist() == [[9.0]]  # along both axes
    assert ops.setup_filter([1, 3]).tolist() == [[1 / 16, 3 / 16], [3 / 16, 9 / 16]]
    assert ops.setup_filter([1, 3], gain=4, flip_filter=True).tolist() == [[9 / 4, 3 / 4], [3 / 4, 1 / 4]]
    assert ops.setup_filter([1, 3], separable=True, gain=4).tolist() == [0.5, 1.5]
    assert ops.setup_filter(np.ones(8)).shape == (8,)
    assert ops.setup_filter(np.ones(8), separable=False).shape == (8, 8)
    assert ops.setup_filter([[1, 2, 5]]).tolist() == [[0.125, 0.25, 0.625]]
    assert ops.setup_filter([1, 2], normalize=False).dtype == torch.float32


@pytest.mark.parametrize('call', [
    lambda x, f: ops.upfirdn2d(x, f, up=0),
    lambda x, f: ops.upfirdn2d(x, f, down=1.5),
    lambda x, f: ops.upfirdn2d(x, f, padding=[1, 2, 3]),
    lambda x, f: ops.upfirdn2d(x, f, padding=-3),
    lambda x, f: ops.setup_filter(np.ones([2, 2, 2])),
    lambda x, f: ops.setup_filter([[1, 2], [3, 4]], separable=True),
    lambda x, f: ops.setup_filter([]),
])
def test_bad_arguments_are_refused_in_one_sentence(call):
    with pytest.raises(ValueError, match=r'^[A-Z][^\n]+\.$'):
        call(torch.ones([1, 1, 4, 6]), ops.setup_filter([1, 3, 3, 1]))
