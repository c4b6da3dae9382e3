"""Bias, activation, gain and clamp of a layer in as few passes over memory as plain PyTorch allows."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

import dnnlib
from torch_utils import custom_ops

# def_alpha, def_gain: what bias_act uses where it is not told; alpha matters to lrelu only.
activation_funcs = {name: dnnlib.EasyDict(func=f, def_alpha=alpha, def_gain=g) for name, f, alpha, g in [
    ('linear',   lambda x, alpha: x,                       0.0, 1.0),
    ('relu',     lambda x, alpha: F.relu(x),               0.0, math.sqrt(2)),
    ('lrelu',    lambda x, alpha: F.leaky_relu(x, alpha),  0.2, math.sqrt(2)),
    ('tanh',     lambda x, alpha: torch.tanh(x),           0.0, 1.0),
    ('sigmoid',  lambda x, alpha: torch.sigmoid(x),        0.0, 1.0),
    ('elu',      lambda x, alpha: F.elu(x),                0.0, 1.0),
    ('selu',     lambda x, alpha: F.selu(x),               0.0, 1.0),
    ('softplus', lambda x, alpha: F.softplus(x),           0.0, 1.0),
    ('swish',    lambda x, alpha: F.silu(x),               0.0, math.sqrt(2)),
]}


def bias_act(x: torch.Tensor, b: torch.Tensor | None = None, dim: int = 1, act: str = 'linear',
             alpha: float | None = None, gain: float | None = None, clamp: float | None = None,
             impl: str = 'cuda') -> torch.Tensor:
    """clamp(gain · act(x + b)) to ±clamp, in the layout and dtype of x.

    x: any shape; b: [x.shape[dim]] or None; alpha: slope of lrelu; gain: None = the activation's own;
    clamp: None = none, else ≥ 0. impl: 'cuda' takes a compiled kernel where there is one, 'ref' never.
    """
    assert impl in ('cuda', 'ref'), impl
    assert clamp is None or clamp >= 0, clamp
    if act not in activation_funcs:
        raise ValueError(f'Activation {act!r} is none of {", ".join(activation_funcs)}.')
    if b is not None:
        assert b.ndim == 1 and b.shape[0] == x.shape[dim], (b.shape, x.shape, dim)
        b = b.to(x.dtype)
    spec = activation_funcs[act]
    alpha = float(spec.def_alpha if alpha is None else alpha)
    gain = float(spec.def_gain if gain is None else gain)
    run = custom_ops.implementation('bias_act', plain_bias_act, x, impl)
    return run(x, b, dim % max(x.ndim, 1), act, alpha, gain, clamp)


def plain_bias_act(x: torch.Tensor, b: torch.Tensor | None, dim: int, act: str, alpha: float, gain: float,
                   clamp: float | None) -> torch.Tensor:
    """The reference implementation; a compiled one has this signature and differentiates itself."""
    slope = {'linear': 1.0, 'relu': 0.0, 'lrelu': alpha}.get(act)
    if slope == 1 and gain == 1 and clamp is None:
        return x if b is None else x + _along(b, dim, x)
    if slope is not None and slope >= 0 and gain > 0:
        differentiable = torch.is_grad_enabled() and (x.requires_grad or b is not None and b.requires_grad)
        return (_Hinge.apply if differentiable else _hinge)(x, b, dim, slope, gain, clamp)
    y = activation_funcs[act].func(x if b is None else x + _along(b, dim, x), alpha)
    y = y * gain if gain != 1 else y
    return y if clamp is None else y.clamp(-clamp, clamp)


def _along(b: torch.Tensor, dim: int, x: torch.Tensor) -> torch.Tensor:
    return b.reshape([-1 if i == dim else 1 for i in range(x.ndim)])


def _hinge(x: torch.Tensor, b: torch.Tensor | None, dim: int, slope: float, gain: float,
           clamp: float | None) -> torch.Tensor:
    """linear, relu and lrelu: slope 1 above zero, `slope` below, times a positive gain, then clamped."""
    if b is None:
        y = x * gain
    elif gain != 1 and x.dtype in (torch.float32, torch.float64):
        y = torch.add(_along(b * gain, dim, x), x, alpha=gain)  # one pass instead of two, a rounding more
    else:
        y = x + _along(b, dim, x)
        y = y.mul_(gain) if gain != 1 else y
    if slope == 0:
        y.relu_()
    elif slope != 1:
        F.leaky_relu_(y, slope)
    if clamp is not None:
        y.clamp_(-clamp, clamp)
    return y


class _Hinge(torch.autograd.Function):
    """The sign and the size of the result tell which piece an element lies on, so the result is all the
    gradient needs, and it is what the next layer keeps anyway.
    """

    @staticmethod
    def forward(ctx, x, b, dim, slope, gain, clamp):
        y = _hinge(x, b, dim, slope, gain, clamp)
        ctx.config = slope, gain, clamp
        ctx.dim, ctx.ndim = dim, x.ndim
        ctx.save_for_backward(y if slope != 1 or clamp is not None else None)
        return y

    @staticmethod
    def backward(ctx, gy):
        gx = _HingeGradient.apply(gy, *ctx.saved_tensors, *ctx.config)
        others = [i for i in range(ctx.ndim) if i != ctx.dim]
        gb = (gx.sum(others) if others else gx) if ctx.needs_input_grad[1] else None
        return gx, gb, None, None, None, None


class _HingeGradient(torch.autograd.Function):
    """Takes a gradient through the pieces that `y` lies on: linear in it, so its own derivative."""

    @staticmethod
    def forward(ctx, gy, y, slope, gain, clamp):
        ctx.save_for_backward(y)
        ctx.config = slope, gain, clamp
        g = gy if clamp is None else torch.ops.aten.hardtanh_backward(gy, y, -clamp, clamp)
        if slope == 0:
            g = torch.ops.aten.threshold_backward(g, y, 0)
        elif slope != 1:
            g = torch.ops.aten.leaky_relu_backward(g, y, slope, True)
        if gain == 1:
            return g.clone() if g is gy else g
        return g * gain if g is gy else g.mul_(gain)

    @staticmethod
    def backward(ctx, ggx):
        return _HingeGradient.apply(ggx, *ctx.saved_tensors, *ctx.config), None, None, None, None


# ---- CUDA --------------------------------------------------------------------------------------------------

FORWARD, HINGE, FIRST, SECOND = range(4)            # enum Pass of cuda/bias_act.h
ACTIVATIONS = {name: number for number, name in enumerate(activation_funcs)}      # enum Activation


class _Settings(NamedTuple):
    dim: int
    act: str
    alpha: float
    gain: float
    clamp: float | None

    def is_hinge(self) -> bool:
        """Whether the sign and the size of the result are all that the gradient needs."""
        return self.act in ('linear', 'relu', 'lrelu') and self.alpha >= 0 and self.gain > 0


def cuda_bias_act(x: torch.Tensor, b: torch.Tensor | None, dim: int, act: str, alpha: float, gain: float,
                  clamp: float | None) -> torch.Tensor:
    """The same by the compiled kernel, where there is one and it takes this."""
    plugin = custom_ops.cuda_plugin('bias_act', custom_ops.HEADERS, agrees)
    hardly_anything = act == 'linear' and gain == 1 and clamp is None       # at most an addition
    together = b is None or b.device == x.device        # if not, PyTorch says so; the kernel would read it
    taken = x.dtype in custom_ops.DTYPES and x.numel() > 0 and together
    if plugin is None or not taken or hardly_anything:
        return plain_bias_act(x, b, dim, act, alpha, gain, clamp)
    return compiled_bias_act(plugin, x, b, dim, act, alpha, gain, clamp)


def compiled_bias_act(plugin, x: torch.Tensor, b: torch.Tensor | None, dim: int, act: str, alpha: float,
                      gain: float, clamp: float | None) -> torch.Tensor:
    """plain_bias_act by the plugin's kernels: x not empty, of a type in custom_ops.DTYPES."""
    dense = x.is_contiguous() or x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    x = x if dense else x.contiguous()
    return _Compiled.apply(x, b, plugin, _Settings(dim, act, alpha, gain, clamp))


def _launch(plugin, kind: int, x, b, gy, ggx, settings: _Settings) -> torch.Tensor:
    """One pass; gy and ggx are brought into x's order in memory."""
    gy, ggx = (t if t is None or t.stride() == x.stride() else torch.empty_like(x).copy_(t)
               for t in (gy, ggx))
    b = None if b is None else b.contiguous()
    result = torch.empty_like(x)
    dim, act, alpha, gain, clamp = settings
    step, size = (x.stride(dim), x.shape[dim]) if x.ndim else (1, 1)
    custom_ops.launch(
        plugin.bias_act, x, kind, ACTIVATIONS[act], tuple(map(custom_ops.address, (x, b, gy, ggx, result))),
        x.numel(), max(step, 1), size, alpha, gain, -1.0 if clamp is None else clamp,
        custom_ops.DTYPES[x.dtype])
    return result


def _sum_to(b: torch.Tensor, gx: torch.Tensor, dim: int) -> torch.Tensor:
    others = [i for i in range(gx.ndim) if i != dim]
    return gx.sum(others).to(b.dtype) if others else gx


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, b, plugin, settings):
        y = _launch(plugin, FORWARD, x, b, None, None, settings)
        ctx.context = plugin, settings
        ctx.save_for_backward(y if settings.is_hinge() else x, b)
        return y

    @staticmethod
    def backward(ctx, gy):
        (plugin, settings), (x, b) = ctx.context, ctx.saved_tensors
        gx = _CompiledGradient.apply(gy, x, b, plugin, settings)
        return gx, _sum_to(b, gx, settings.dim) if ctx.needs_input_grad[1] else None, None, None


class _CompiledGradient(torch.autograd.Function):
    """Where the activation is a hinge, x is its result and only its sign and size matter."""

    @staticmethod
    def forward(ctx, gy, x, b, plugin, settings):
        ctx.context = plugin, settings
        ctx.save_for_backward(gy, x, b)
        return _launch(plugin, HINGE if settings.is_hinge() else FIRST, x, b, gy, None, settings)

    @staticmethod
    def backward(ctx, ggx):
        (plugin, settings), (gy, x, b) = ctx.context, ctx.saved_tensors
        if settings.is_hinge():
            return _CompiledGradient.apply(ggx, x, b, plugin, settings), None, None, None, None
        if torch.is_grad_enabled():         # the third derivative and beyond: from the definition
            return *_plain_curvature(gy, x, b, ggx, settings), None, None
        ggy = _launch(plugin, FIRST, x, b, ggx, None, settings)
        gx = _launch(plugin, SECOND, x, b, gy, ggx, settings)
        return ggy, gx, _sum_to(b, gx, settings.dim) if ctx.needs_input_grad[2] else None, None, None


def _plain_curvature(gy, x, b, ggx, settings: _Settings) -> list[torch.Tensor | None]:
    """The gradients of <ggx, gradient of plain_bias_act> in gy, x and b, to be differentiated again."""
    given = [tensor for tensor in (gy, x, b) if tensor is not None and tensor.requires_grad]
    at = x if x.requires_grad else x.detach().requires_grad_()
    y = plain_bias_act(at, b, *settings)
    gx, = torch.autograd.grad(y, at, gy, create_graph=True)
    found = iter(torch.autograd.grad(gx, given, ggx, create_graph=True, allow_unused=True))
    return [next(found) if tensor is not None and tensor.requires_grad else None for tensor in (gy, x, b)]


def agrees(plugin) -> bool:
    """Whether the kernels do on this machine what the plain version does."""
    x, b = custom_ops.trial(2, 8, 3, 5) * 3, custom_ops.trial(8)
    for act in activation_funcs:
        for layout in (torch.contiguous_format, torch.channels_last):
            arguments = x.contiguous(memory_format=layout), b, 1, act, 0.2, 1.5, 2.0
            ours, plain = compiled_bias_act(plugin, *arguments), plain_bias_act(*arguments)
            if not torch.allclose(ours, plain, atol=1e-4):
                return False
    return True


custom_ops.register_kernel('bias_act', cuda_bias_act)
