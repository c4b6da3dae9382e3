"""conv2d and conv_transpose2d whose weight gradients can be switched off, differentiable any number of times.

The R1 and path length penalties differentiate with respect to images or latents first; computing the gradient
of every weight on the way would be thrown away. torch's own autograd leaves it out where
`torch.autograd.grad` is asked for inputs only; the functions here leave it out of any backward pass inside
`no_weight_gradients()`, and when a gradient is differentiated again they use convolutions instead of torch's
slower generic formula.
"""

import contextlib
from typing import NamedTuple

import torch
import torch.nn.functional as F

from torch_utils.ops.layout import faster_layout, memory_format

enabled = True  # False hands every call to torch.nn.functional
weight_gradients_disabled = False  # set by no_weight_gradients()


@contextlib.contextmanager
def no_weight_gradients():
    """Inside this context backward passes give the weights of the convolutions below no gradient (None)."""
    global weight_gradients_disabled
    before, weight_gradients_disabled = weight_gradients_disabled, True
    try:
        yield
    finally:
        weight_gradients_disabled = before


class Geometry(NamedTuple):
    """The numbers of a convolution, each pair as (y, x)."""
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    transposed: bool
    output_padding: tuple[int, int]
    groups: int

    def adjoint(self, in_size, out_size, taps) -> 'Geometry':
        """The convolution, with the same weight, that takes a gradient of `out_size` back to `in_size`."""
        if self.transposed:
            return self._replace(transposed=False, output_padding=(0, 0))
        missing = tuple(
            size - ((out - 1) * stride - 2 * pad + dilation * (k - 1) + 1)
            for size, out, stride, pad, dilation, k
            in zip(in_size, out_size, self.stride, self.padding, self.dilation, taps))
        return self._replace(transposed=True, output_padding=missing)


def conv2d(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, stride=1, padding=0,
           dilation=1, groups: int = 1) -> torch.Tensor:
    """torch.nn.functional.conv2d: input [N, C, H, W], weight [O, C / groups, kh, kw] → [N, O, H', W']."""
    if isinstance(padding, str) or input.ndim != 4:  # 'same', 'valid'; one picture without a batch
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    return _convolve(input, weight, bias, Geometry(
        _pair(stride), _pair(padding), _pair(dilation), False, (0, 0), groups))


def conv_transpose2d(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, stride=1,
                     padding=0, output_padding=0, groups: int = 1, dilation=1) -> torch.Tensor:
    """torch.nn.functional.conv_transpose2d: input [N, C, H, W], weight [C, O / groups, kh, kw] → [N, O, H',
    W']."""
    if input.ndim != 4:
        return F.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolve(input, weight, bias, Geometry(
        _pair(stride), _pair(padding), _pair(dilation), True, _pair(output_padding), groups))


def _pair(value) -> tuple[int, int]:
    y, x = (value, value) if isinstance(value, int) else (value * 2 if len(value) == 1 else value)
    return int(y), int(x)


def _convolve(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None, g: Geometry) -> torch.Tensor:
    layout = memory_format(x)
    if g.stride != (1, 1):
        x = x.contiguous(memory_format=faster_layout(x))
    invertible = all(extra < stride for extra, stride in zip(g.output_padding, g.stride))
    casting = torch.is_autocast_enabled(x.device.type)  # torch.autocast knows torch's own functions only
    if enabled and w.requires_grad and torch.is_grad_enabled() and invertible and not casting:
        y = _Convolution.apply(x, w, b, g)
    elif g.transposed:
        y = F.conv_transpose2d(x, w, b, g.stride, g.padding, g.output_padding, g.groups, g.dilation)
    else:
        y = F.conv2d(x, w, b, g.stride, g.padding, g.dilation, g.groups)
    return y.contiguous(memory_format=layout) if g.stride != (1, 1) else y


def _backward(gy, x, w, bias_sizes, g: Geometry, mask: list[bool]):
    return torch.ops.aten.convolution_backward(gy, x, w, bias_sizes, *g, mask)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b, g):
        ctx.save_for_backward(x, w)
        ctx.geometry, ctx.bias_sizes = g, None if b is None else list(b.shape)
        return torch.ops.aten.convolution(x, w, b, *g)

    @staticmethod
    def backward(ctx, gy):
        (x, w), g = ctx.saved_tensors, ctx.geometry
        for_x, for_w, for_b = ctx.needs_input_grad[:3]
        for_w = for_w and not weight_gradients_disabled
        gy = gy.contiguous(memory_format=memory_format(x))
        if not torch.is_grad_enabled():  # nobody differentiates this again: all three in one call
            return *_backward(gy, x, w, ctx.bias_sizes, g, [for_x, for_w, for_b]), None
        gx = gw = gb = None
        if for_x:
            gx = _Convolution.apply(gy, w, None, g.adjoint(x.shape[2:], gy.shape[2:], w.shape[2:]))
        if for_w:
            gw = _WeightGradient.apply(gy, x, w, g)
        if for_b:
            gb = gy.sum([0, 2, 3])
        return gx, gw, gb, None


class _WeightGradient(torch.autograd.Function):
    """Bilinear in the output's gradient and the input; the weight only lends its shape."""

    @staticmethod
    def forward(ctx, gy, x, w, g):
        ctx.save_for_backward(gy, x)
        ctx.geometry = g
        return _backward(gy, x, w, None, g, [False, True, False])[1]

    @staticmethod
    def backward(ctx, ggw):
        (gy, x), g = ctx.saved_tensors, ctx.geometry
        ggy = gx = None
        if ctx.needs_input_grad[0]:
            ggy = _Convolution.apply(x, ggw, None, g)
        if ctx.needs_input_grad[1]:
            gx = _Convolution.apply(gy, ggw, None, g.adjoint(x.shape[2:], gy.shape[2:], ggw.shape[2:]))
        return ggy, gx, None, None
