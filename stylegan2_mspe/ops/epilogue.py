"""What follows a convolution, in one pass: demodulation, noise, bias, activation, gain, clamp, encoding.

    y = clamp(gain * lrelu(x * scale + noise + bias)) + gamma * encoding

`plain_epilogue` is the reference; `epilogue` runs the compiled kernel where there is one, with the same
numbers to rounding.
"""

import ctypes
import math

import torch

from ..pe import Separable
from . import native


def epilogue(x: torch.Tensor, scale: torch.Tensor | None = None, noise: torch.Tensor | None = None,
             bias: torch.Tensor | None = None, encoding: Separable | None = None,
             gamma: torch.Tensor | None = None, slope: float = 0.2, gain: float = math.sqrt(2),
             clamp: float | None = None) -> torch.Tensor:
    """x [N, C, H, W], scale [N, C], noise [N or 1, 1, H, W], bias [C], gamma [] (None = 1) -> [N, C, H, W].

    slope is lrelu's below zero (1 = no activation). Differentiable twice in every tensor.
    """
    halves = (None, None) if encoding is None else (encoding.rows, encoding.cols)
    arguments = [x, scale, noise, bias, gamma, *halves]
    config = (encoding is None or encoding.rows_first, slope, gain, clamp)
    if _fits(*arguments):
        # The layout is made here, not inside: what the function keeps must be its own input to be
        # differentiated again.
        return _Epilogue.apply(x.contiguous(memory_format=torch.channels_last), *arguments[1:], config)
    return plain_epilogue(*arguments, config)


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


def _fits(x, scale, noise, bias, gamma, rows, cols) -> bool:
    """Whether the kernel takes this: whole vectors of channels, small tensors float32, a fixed encoding."""
    if x.shape[1] % (16 if rows is None else 32) or x.ndim != 4:
        return False
    if rows is not None and (rows.requires_grad or cols.requires_grad):
        return False
    small = [tensor for tensor in (scale, noise, bias, gamma) if tensor is not None]
    return all(tensor.dtype == torch.float32 for tensor in small) and native.usable(x, *small) is not None


class _Arguments(ctypes.Structure):
    """The struct Epilogue of cpu_kernels.cpp."""
    _fields_ = [
        *((name, ctypes.c_int64) for name in ('count', 'height', 'width', 'channels')),
        ('scale', ctypes.c_void_p),
        ('noise', ctypes.c_void_p), ('noise_stride', ctypes.c_int64),
        ('bias', ctypes.c_void_p),
        ('rows', ctypes.c_void_p), ('cols', ctypes.c_void_p),
        ('rows_stride', ctypes.c_int64), ('cols_stride', ctypes.c_int64), ('rows_first', ctypes.c_int64),
        *((name, ctypes.c_float) for name in ('gamma', 'slope', 'gain', 'clamp'))]


def _pack(x, scale, noise, bias, gamma, rows, cols, config):
    """The kernel's arguments, and the tensors whose memory they point into."""
    rows_first, slope, gain, clamp = config
    count, channels, height, width = x.shape
    small = [None if tensor is None else tensor.detach().contiguous() for tensor in (scale, noise, bias)]
    small += [None, None] if rows is None else [_by_position(rows), _by_position(cols)]
    scale, noise, bias, rows, cols = small
    stride = lambda tensor: 0 if tensor is None or tensor.shape[0] == 1 else tensor[0].numel()
    arguments = _Arguments(
        count, height, width, channels, _pointer(scale), _pointer(noise), stride(noise), _pointer(bias),
        _pointer(rows), _pointer(cols), stride(rows), stride(cols), rows_first,
        1.0 if gamma is None else float(gamma.detach()), slope, gain, -1.0 if clamp is None else clamp)
    return ctypes.byref(arguments), small


def _by_position(half: torch.Tensor) -> torch.Tensor:
    """[N, C / 2, H] -> [N, H, C / 2] float32: the kernel reads the channels of one position."""
    return half.to(torch.float32).transpose(1, 2).contiguous()


def _pointer(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


class _Epilogue(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, noise, bias, gamma, rows, cols, config):
        ctx.save_for_backward(x, scale, noise, bias, gamma, rows, cols)
        ctx.config = config
        y = torch.empty_like(x)
        arguments, _alive = _pack(x, scale, noise, bias, gamma, rows, cols, config)
        native.library().mspe_epilogue_forward(
            arguments, ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(y.data_ptr()),
            x.dtype == torch.bfloat16, torch.get_num_threads())
        return y

    @staticmethod
    def backward(ctx, gy):
        saved, needed = ctx.saved_tensors, ctx.needs_input_grad
        if torch.is_grad_enabled():             # these gradients will be differentiated: from the definition
            wanted = [tensor for tensor, need in zip(saved, needed) if need]
            y = plain_epilogue(*saved, ctx.config)
            found = iter(torch.autograd.grad(y, wanted, gy, create_graph=True, allow_unused=True))
            return *(next(found) if need else None for need in needed[:-1]), None
        x, scale, noise, bias, gamma, rows, cols = saved
        gy = gy.contiguous(memory_format=torch.channels_last)
        count, channels, height, width = x.shape
        # The rows that one task sums over: enough work for it, and enough tasks.
        band = max(1, 4096 // (width * channels // 16))
        sums = torch.empty([count, -(-height // band), 3, channels])
        gnoise = torch.empty([count, 1, height, width]) if needed[2] else None
        gx = torch.empty_like(x)
        arguments, _alive = _pack(*saved, ctx.config)
        native.library().mspe_epilogue_backward(
            arguments, *(ctypes.c_void_p(_pointer(tensor)) for tensor in (x, gy, gx, sums, gnoise)),
            ctypes.c_int64(band), x.dtype == torch.bfloat16, torch.get_num_threads())
        gscale, gbias, ggamma = sums.sum(dim=1).unbind(dim=1)
        if gnoise is not None and noise.shape[0] == 1:
            gnoise = gnoise.sum(dim=0, keepdim=True)
        return (gx, gscale if needed[1] else None, gnoise, gbias.sum(dim=0) if needed[3] else None,
                ggamma.sum() if needed[4] else None, None, None, None)
