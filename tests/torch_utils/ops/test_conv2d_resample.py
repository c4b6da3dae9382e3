"""conv2d_resample against its definition in float64: zero-stuff, pad, filter, convolve, filter, decimate."""

import itertools

import numpy as np
import pytest
import scipy.signal
import torch

from torch_utils.ops import conv2d_resample as module
from torch_utils.ops.upfirdn2d import setup_filter

conv2d_resample = module.conv2d_resample


def whole_windows(x, kernels):
    """x [N, C, H, W], kernels [O, I, kh, kw] in groups: true convolution without padding."""
    groups = x.shape[1] // kernels.shape[1]
    per_group = kernels.shape[0] // groups
    return np.array([[
        sum(scipy.signal.convolve2d(image[o // per_group * kernels.shape[1] + i], kernel[i], mode='valid')
            for i in range(kernels.shape[1]))
        for o, kernel in enumerate(kernels)] for image in x])


def definition(x, w, f, up, down, padding, flip_weight, flip_filter):
    f = np.ones([1, 1]) if f is None else np.asarray(f, dtype=np.float64)
    f = np.outer(f, f) if f.ndim == 1 else f
    pad = list(padding)  # [x0, x1, y0, y1]
    for axis, taps in enumerate(f.shape[::-1]):
        if up > 1:  # an output `up` times as large
            before = (taps + up - 1) // 2
            pad[2 * axis] += before
            pad[2 * axis + 1] += taps - 1 - before
        if down > 1:  # an output 1 / `down` as large
            before = (taps - down + 1) // 2
            pad[2 * axis] += before
            pad[2 * axis + 1] += taps - down - before
    f = f[::-1, ::-1] if flip_filter else f
    w = w[:, :, ::-1, ::-1] if flip_weight else w
    depthwise = np.repeat(f[None, None], x.shape[1], axis=0)
    y = np.zeros([*x.shape[:2], x.shape[2] * up, x.shape[3] * up])
    y[:, :, ::up, ::up] = x
    y = np.pad(y, [(0, 0), (0, 0), (max(pad[2], 0), max(pad[3], 0)), (max(pad[0], 0), max(pad[1], 0))])
    y = y[:, :, max(-pad[2], 0):y.shape[2] - max(-pad[3], 0), max(-pad[0], 0):y.shape[3] - max(-pad[1], 0)]
    if up > 1:
        y = whole_windows(y, depthwise) * up ** 2
    y = whole_windows(y, w)
    if down > 1:
        y = whole_windows(y, np.repeat(f[None, None], w.shape[0], axis=0))[:, :, ::down, ::down]
    return y


KERNELS = [(1, 1), (3, 3), (2, 3), (4, 5)]
FILTERS = [None, [1, 3, 3, 1], [1, 2, 4], [[1, 2, 4], [3, 5, -1]]]
SCALINGS = [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (2, 2)]
PADDINGS = [[0, 0, 0, 0], [1, 1, 1, 1], [2, 1, 0, 3], [-1, 2, 1, -2]]


def case(kernel, groups=1, seed=4):
    random = np.random.RandomState(seed)
    return random.standard_normal((2, 2 * groups, 7, 9)), random.standard_normal((3 * groups, 2, *kernel))


@pytest.mark.parametrize('up, down', SCALINGS)
@pytest.mark.parametrize('kernel', KERNELS)
def test_agrees_with_the_definition(kernel, up, down):
    for i, (f, padding) in enumerate(itertools.product(FILTERS, PADDINGS)):
        groups, flip_weight, flip_filter = 1 + i % 2, i % 3 == 0, i % 5 < 2
        x, w = case(kernel, groups)
        f = None if f is None else setup_filter(f)
        padded = [p + kernel[1 - j // 2] // 2 for j, p in enumerate(padding)]
        y = conv2d_resample(torch.from_numpy(x), torch.from_numpy(w), f, up, down, padded, groups,
                            flip_weight, flip_filter)
        expected = definition(x, w, f, up, down, padded, flip_weight, flip_filter)
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, atol=1e-6 * abs(expected).max(), rtol=0)


def test_sizes_of_the_layers_of_a_network():
    f = setup_filter([1, 3, 3, 1])
    x, w = torch.ones(1, 2, 8, 16), torch.ones(3, 2, 3, 3)
    assert conv2d_resample(x, w, f, up=2, padding=1).shape == (1, 3, 16, 32)
    assert conv2d_resample(x, w, f, down=2, padding=1).shape == (1, 3, 4, 8)
    assert conv2d_resample(x, w[:, :, 1:2, 1:2], f, down=2).shape == (1, 3, 4, 8)
    assert conv2d_resample(x, w, f, padding=[1, 2]).shape == (1, 3, 10, 16)


@pytest.mark.parametrize('up, down', SCALINGS)
@pytest.mark.parametrize('kernel, padding', [((1, 1), 0), ((3, 2), [2, 0, 1, 1])])
def test_first_and_second_derivatives(kernel, padding, up, down):
    f = setup_filter([1, 2, 4])
    x, w = (torch.from_numpy(a).requires_grad_() for a in case(kernel, groups=2))
    x = x.detach()[:1, :, :4, :5].requires_grad_()

    def run(x, w):
        return conv2d_resample(x, w, f, up, down, padding, groups=2, flip_weight=False)

    assert torch.autograd.gradcheck(run, [x, w], fast_mode=True)
    assert torch.autograd.gradgradcheck(run, [x, w], fast_mode=True)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('up, down', SCALINGS)
@pytest.mark.parametrize('kernel', [(1, 1), (3, 3)])
def test_layout_and_dtype_are_kept_both_ways(kernel, up, down, dtype, layout):
    x, w = (torch.from_numpy(a).to(dtype) for a in case(kernel))
    x = x.contiguous(memory_format=layout).requires_grad_()
    w.requires_grad_()
    y = conv2d_resample(x, w, setup_filter([1, 3, 3, 1]), up, down, padding=kernel[0] // 2)
    y.sum().backward()
    for tensor in (y, x.grad):
        assert tensor.dtype == dtype and tensor.is_contiguous(memory_format=layout)
    assert w.grad.shape == w.shape and w.grad.dtype == dtype


@pytest.mark.parametrize('up, down', SCALINGS)
def test_empty_batch(up, down):
    w = torch.ones(3, 2, 3, 3, requires_grad=True)
    y = conv2d_resample(torch.ones(0, 2, 6, 12), w, setup_filter([1, 3, 3, 1]), up, down, padding=1)
    assert y.shape == (0, 3, 6 * up // down, 12 * up // down)
    y.sum().backward()
    assert w.grad.abs().sum() == 0


def test_every_case_takes_its_cheap_order(monkeypatch):
    """1×1 kernels see the smaller picture, larger ones no stuffed zeros nor pixels that are dropped."""
    sizes = []
    for name in ('conv2d', 'conv_transpose2d'):
        original = getattr(module.conv2d_gradfix, name)
        monkeypatch.setattr(module.conv2d_gradfix, name, lambda x, *args, _run=original, _name=name, **kwargs:
                            sizes.append((_name, x.shape[2])) or _run(x, *args, **kwargs))
    f = setup_filter([1, 3, 3, 1])
    x = torch.ones(1, 2, 8, 8)
    for taps, settings in [(1, dict(up=2)), (1, dict(down=2)), (3, dict(up=2)), (3, dict(down=2))]:
        conv2d_resample(x, torch.ones(2, 2, taps, taps), f, padding=taps // 2, **settings)
    assert sizes == [('conv2d', 8), ('conv2d', 4), ('conv_transpose2d', 8), ('conv2d', 9)]
