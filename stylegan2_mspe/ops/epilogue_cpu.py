"""The epilogue by the kernels of cpu_kernels.cpp: channels last, float32 or bfloat16."""

import ctypes

import torch

from . import native

curvature = None                # second derivatives come from the definition


def takes(x, scale, noise, bias, gamma, rows, cols) -> bool:
    """Whether the kernel takes this: whole vectors of channels, small tensors float32."""
    if x.shape[1] % (16 if rows is None else 32):
        return False
    small = [tensor for tensor in (scale, noise, bias, gamma) if tensor is not None]
    return all(tensor.dtype == torch.float32 for tensor in small) and native.usable(x, *small) is not None


def layout(x: torch.Tensor) -> torch.memory_format:
    return torch.channels_last


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
    return half.detach().to(torch.float32).transpose(1, 2).contiguous()


def _pointer(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def value(tensors, config) -> torch.Tensor:
    x = tensors[0]
    y = torch.empty_like(x)
    arguments, _alive = _pack(*tensors, config)
    native.library().mspe_epilogue_forward(
        arguments, ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(y.data_ptr()),
        x.dtype == torch.bfloat16, torch.get_num_threads())
    return y


def gradient(tensors, gy, config, needed) -> tuple[torch.Tensor | None, ...]:
    """In x, scale, noise, bias and gamma, where they are needed."""
    x, scale, noise, bias, gamma, rows, cols = tensors
    gy = gy.contiguous(memory_format=torch.channels_last)
    count, channels, height, width = x.shape
    # The rows that one task sums over: enough work for it, and enough tasks.
    band = max(1, 4096 // (width * channels // 16))
    sums = torch.empty([count, -(-height // band), 3, channels])
    gnoise = torch.empty([count, 1, height, width]) if needed[2] else None
    gx = torch.empty_like(x)
    arguments, _alive = _pack(*tensors, config)
    native.library().mspe_epilogue_backward(
        arguments, *(ctypes.c_void_p(_pointer(tensor)) for tensor in (x, gy, gx, sums, gnoise)),
        ctypes.c_int64(band), x.dtype == torch.bfloat16, torch.get_num_threads())
    gscale, gbias, ggamma = sums.sum(dim=1).unbind(dim=1)
    if gnoise is not None and noise.shape[0] == 1:
        gnoise = gnoise.sum(dim=0, keepdim=True)
    return (gx, gscale if needed[1] else None, gnoise, gbias.sum(dim=0) if needed[3] else None,
            ggamma.sum() if needed[4] else None)
