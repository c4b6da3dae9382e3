"""What follows a convolution, in one pass: demodulation, noise, bias, activation, gain, clamp, encoding.

    y = clamp(gain * lrelu(x * scale + noise + bias)) + gamma * encoding

`plain_epilogue` is the reference; `epilogue` runs the compiled kernels of the device where there are any,
with the same numbers to rounding.
"""

import math

import torch

from ..pe import Separable
from . import epilogue_cpu, epilogue_cuda


def epilogue(x: torch.Tensor, scale: torch.Tensor | None = None, noise: torch.Tensor | None = None,
             bias: torch.Tensor | None = None, encoding: Separable | None = None,
             gamma: torch.Tensor | None = None, slope: float = 0.2, gain: float = math.sqrt(2),
             clamp: float | None = None) -> torch.Tensor:
    """x [N, C, H, W], scale [N, C], noise [N or 1, 1, H, W], bias [C], gamma [] (None = 1) -> [N, C, H, W].

    slope is lrelu's below zero (1 = no activation). Differentiable twice in every tensor.
    """
    # Kernels read as much as these shapes have.
    assert scale is None or scale.shape == x.shape[:2], (scale.shape, x.shape)
    assert noise is None or noise.shape in ((len(x), 1, *x.shape[2:]), (1, 1, *x.shape[2:])), \
        (noise.shape, x.shape)
    halves = (None, None) if encoding is None else (encoding.rows, encoding.cols)
    tensors = [x, scale, noise, bias, gamma, *halves]
    config = (encoding is None or encoding.rows_first, slope, gain, clamp)
    kernels = epilogue_cuda if x.is_cuda else epilogue_cpu
    if x.ndim != 4 or x.numel() == 0 or not kernels.takes(*tensors):
        return plain_epilogue(*tensors, config)
    # The layout is made here, not inside: what the function keeps must be its own input to be
    # differentiated again.
    x = x.contiguous(memory_format=kernels.layout(x))
    return _Epilogue.apply(x, *tensors[1:], config, kernels)


def fuses(x: torch.Tensor) -> bool:
    """Whether the epilogue is to be preferred to one operator after the other, on x's device.

    Without kernels on a GPU it is not: torch_utils may have one for bias and activation.
    """
    return not x.is_cuda or epilogue_cuda.plugin() is not None


def plain_epilogue(x, scale, noise, bias, gamma, rows, cols, config):
    """The definition, in PyTorch."""
    rows_first, slope, gain, clamp = config
    if scale is not None:
        x = x * scale.to(x.dtype)[:, :, None, None]
    if noise is not None:
        x = x + noise.to(x.dtype)
    if bias is not None:
        x = x + bias.to(x.dtype)[:, None, None]
    if slope != 1:
        x = torch.nn.functional.leaky_relu(x, slope)
    x = x * gain
    if clamp is not None:
        x = x.clamp(-clamp, clamp)
    if rows is not None:
        encoding = Separable(rows, cols, rows_first).dense().to(x.dtype)
        x = x + (encoding if gamma is None else gamma.to(x.dtype) * encoding)
    return x


class _Epilogue(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, noise, bias, gamma, rows, cols, config, kernels):
        tensors = x, scale, noise, bias, gamma, rows, cols
        ctx.save_for_backward(*tensors)
        ctx.context = config, kernels
        return kernels.value(tensors, config)

    @staticmethod
    def backward(ctx, gy):
        (config, kernels), tensors = ctx.context, ctx.saved_tensors
        needed, moving = ctx.needs_input_grad[:5], ctx.needs_input_grad[5:7]
        if torch.is_grad_enabled() and (kernels.curvature is None or any(moving)):
            # Will be differentiated again: from the definition.
            return *_defined_gradient(tensors, gy, config, needed + moving), None, None
        found = _Gradient.apply(gy, *tensors, config, kernels, needed)
        return *found, *_encoding_gradient(tensors, gy, config, moving), None, None


def _encoding_gradient(tensors, gy, config, needed) -> list[torch.Tensor | None]:
    """In the rows and columns of an encoding that moves: it is added last, so that its gradient is gy's sum
    along what each half does not depend on.
    """
    *_, gamma, rows, cols = tensors
    if not any(needed):
        return [None, None]
    halves = gy.chunk(2, dim=1) if config[0] else gy.chunk(2, dim=1)[::-1]
    found = []
    for half, part, along, need in zip((rows, cols), halves, (3, 2), needed):
        total = part.sum(dim=along, dtype=half.dtype).sum_to_size(half.shape) if need else None
        found.append(total if total is None or gamma is None else total * gamma.to(half.dtype))
    return found


class _Gradient(torch.autograd.Function):
    """The gradients in x, scale, noise, bias and gamma, as far as they are needed."""

    @staticmethod
    def forward(ctx, gy, x, scale, noise, bias, gamma, rows, cols, config, kernels, needed):
        tensors = x, scale, noise, bias, gamma, rows, cols
        ctx.save_for_backward(gy, *tensors)
        ctx.context = config, kernels
        ctx.set_materialize_grads(False)
        return kernels.gradient(tensors, gy, config, needed)

    @staticmethod
    def backward(ctx, *directions):
        (config, kernels), (gy, *tensors) = ctx.context, ctx.saved_tensors
        if torch.is_grad_enabled():             # the third derivative and beyond: from the definition
            found = _defined_curvature(tensors, gy, directions, config)
        else:           # between the bends the result is linear in noise and bias: no gradient in these
            needed = ctx.needs_input_grad[:3]
            found = *kernels.curvature(tensors, gy, directions, config, needed), None, None, None
        return *found, None, None, None, None, None


def _defined_gradient(tensors, gy, config, needed):
    """What _Gradient computes, such that it can be differentiated."""
    wanted = [tensor for tensor, need in zip(tensors, needed) if need]
    y = plain_epilogue(*tensors, config)
    found = iter(torch.autograd.grad(y, wanted, gy, create_graph=True, allow_unused=True))
    return [next(found) if need else None for need in needed]


def _defined_curvature(tensors, gy, directions, config):
    """The gradients of <gradient, directions> in gy, x, scale, noise, bias and gamma, likewise."""
    gradient = _defined_gradient(tensors, gy, config, [direction is not None for direction in directions])
    inputs = [gy, *tensors[:5]]
    wanted = [tensor for tensor in inputs if tensor is not None and tensor.requires_grad]
    pairs = [(g, direction) for g, direction in zip(gradient, directions)
             if g is not None and g.requires_grad]
    outputs, directions = zip(*pairs)
    found = iter(torch.autograd.grad(outputs, wanted, directions, create_graph=True, allow_unused=True))
    return [next(found) if tensor is not None and tensor.requires_grad else None for tensor in inputs]
