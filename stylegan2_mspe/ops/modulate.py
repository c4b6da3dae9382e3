"""Scales every channel of every sample, as style modulation does, with one pass for both gradients."""

import ctypes

import torch

from . import native
from .epilogue import epilogue, fuses


def modulate(x: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
    """x [N, C, H, W] times styles [N, C], in x's dtype. Differentiable twice."""
    if x.is_cuda:
        return epilogue(x, scale=styles, slope=1, gain=1) if fuses(x) else plain_modulate(x, styles)
    if x.shape[1] % 16 == 0 and styles.dtype == torch.float32 and native.usable(x, styles) is not None:
        # The layout is made here, not inside: what the function keeps must be its own input to be
        # differentiated again.
        return _Modulate.apply(x.contiguous(memory_format=torch.channels_last), styles)
    return plain_modulate(x, styles)


def plain_modulate(x: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
    """The definition, in PyTorch."""
    return x * styles.to(x.dtype)[:, :, None, None]


def _arguments(x, *tensors):
    """The addresses of x and the others, then the sizes, the type and the threads that every kernel takes."""
    count, channels, height, width = x.shape
    return (*(ctypes.c_void_p(tensor.data_ptr()) for tensor in (x, *tensors)),
            *map(ctypes.c_int64, (count, height * width, channels)),
            x.dtype == torch.bfloat16, torch.get_num_threads())


class _Modulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, styles):
        ctx.save_for_backward(x, styles)
        y, styles = torch.empty_like(x), styles.contiguous()
        native.library().mspe_scale_forward(*_arguments(x, styles, y))
        return y

    @staticmethod
    def backward(ctx, gy):
        x, styles = ctx.saved_tensors
        if torch.is_grad_enabled():             # these gradients will be differentiated: from the definition
            gx = modulate(gy, styles) if ctx.needs_input_grad[0] else None
            return gx, (gy * x).sum(dim=(2, 3)).to(styles.dtype) if ctx.needs_input_grad[1] else None
        gy = gy.contiguous(memory_format=torch.channels_last)
        styles = styles.contiguous()
        gx, gstyles = torch.empty_like(x), torch.empty_like(styles)
        native.library().mspe_scale_backward(*_arguments(x, styles, gy, gx, gstyles))
        return gx, gstyles
