"""Group normalisation and SiLU (Ho et al.'s residual blocks) in two passes over memory.

    y = silu((x - mean) / sqrt(variance + eps) * weight + bias)

mean and variance are those of a group of channels in all pixels of one sample.
"""

import ctypes

import torch
import torch.nn.functional as F

from . import native


def norm_silu(x: torch.Tensor, norm: torch.nn.GroupNorm) -> torch.Tensor:
    """x [N, C, H, W], in its dtype on a CPU with kernels. Differentiable twice in x and its weights."""
    whole = x.ndim == 4 and not x.is_cuda and x.shape[1] % 16 == 0 and norm.weight.dtype == torch.float32
    if not whole or native.usable(x, norm.weight) is None:
        return plain_norm_silu(x, norm.weight, norm.bias, norm.num_groups, norm.eps)
    # The layout is made here, not inside: what the function keeps must be its own input to be
    # differentiated again.
    x = x.contiguous(memory_format=torch.channels_last)
    return _NormSilu.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps)


def plain_norm_silu(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int,
                    eps: float) -> torch.Tensor:
    """The definition, in PyTorch."""
    return F.silu(F.group_norm(x, groups, weight, bias, eps))


class _NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, groups, eps):
        moments = torch.empty([len(x), 2, x.shape[1]])
        ctx.save_for_backward(x, weight, bias)
        ctx.context = moments, groups, eps
        y = torch.empty_like(x)
        _call('mspe_norm_silu_forward', ctx, x, weight, bias, y)
        return y

    @staticmethod
    def backward(ctx, gy):
        x, weight, bias = ctx.saved_tensors
        if torch.is_grad_enabled():             # these gradients will be differentiated: from the definition
            return *_defined_gradient(x, weight, bias, *ctx.context[1:], gy, ctx.needs_input_grad), None, None
        gx, sums = torch.empty_like(x), torch.empty([len(x), 2, x.shape[1]])
        gy = gy.to(x.dtype).contiguous(memory_format=torch.channels_last)
        _call('mspe_norm_silu_backward', ctx, x, weight, bias, gy, gx, sums)
        return gx, *sums.sum(dim=0), None, None


class _Arguments(ctypes.Structure):
    """The struct NormSilu of cpu_kernels.cpp."""
    _fields_ = [*((name, ctypes.c_int64) for name in ('count', 'pixels', 'channels', 'groups')),
                ('epsilon', ctypes.c_float),
                *((name, ctypes.c_void_p) for name in ('weight', 'bias', 'moments'))]


def _call(name, ctx, x, weight, bias, *tensors):
    moments, groups, eps = ctx.context
    count, channels, height, width = x.shape
    weight, bias = weight.detach().contiguous(), bias.detach().contiguous()
    arguments = _Arguments(count, height * width, channels, groups, eps, weight.data_ptr(), bias.data_ptr(),
                           moments.data_ptr())
    getattr(native.library(), name)(
        ctypes.byref(arguments), *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (x, *tensors)),
        x.dtype == torch.bfloat16, torch.get_num_threads())


def _defined_gradient(x, weight, bias, groups, eps, gy, needed):
    """In x, weight and bias, such that it can be differentiated."""
    tensors = x, weight, bias
    wanted = [tensor for tensor, need in zip(tensors, needed) if need]
    y = plain_norm_silu(*tensors, groups, eps)
    found = iter(torch.autograd.grad(y, wanted, gy, create_graph=True))
    return [next(found) if need else None for need in needed[:3]]
