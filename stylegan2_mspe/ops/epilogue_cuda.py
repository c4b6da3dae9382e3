"""The epilogue by the kernels of cuda/epilogue.cu: either layout, float16, bfloat16, float32 or float64."""

import functools
import pathlib

import torch

from torch_utils import custom_ops

FOLDER = str(pathlib.Path(__file__).with_name('cuda'))
VALUE, GRADIENT, CURVATURE = range(3)           # enum Pass of cuda/epilogue.h


def plugin():
    """The compiled kernels, or None; with another checkout's torch_utils its own kernels serve."""
    make = getattr(custom_ops, 'cuda_plugin', None)
    return None if make is None else make('epilogue', FOLDER, agrees)


def takes(x, scale, noise, bias, gamma, rows, cols) -> bool:
    """Whether the kernel takes this: small tensors of the type it computes in."""
    small = [tensor for tensor in (scale, noise, bias, gamma) if tensor is not None]
    if any(tensor.dtype != _arithmetic(x.dtype) or tensor.device != x.device for tensor in small):
        return False
    if rows is not None and x.shape[1] % 2:
        return False
    numbered = getattr(custom_ops, 'DTYPES', ())
    small_enough = x.shape[2] * x.shape[3] < 2 ** 30    # for 32 bits, with what blocks reach beyond the last
    return x.dtype in numbered and small_enough and plugin() is not None


def layout(x: torch.Tensor) -> torch.memory_format:
    """Its own."""
    return torch.channels_last if x.shape[1] > 1 and x.stride(1) == 1 else torch.contiguous_format


def _arithmetic(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def value(tensors, config, compiled=None) -> torch.Tensor:
    y = torch.empty_like(tensors[0])
    _launch(compiled or plugin(), VALUE, tensors, config, result=y)
    return y


def gradient(tensors, gy, config, needed, compiled=None) -> tuple[torch.Tensor | None, ...]:
    """In x, scale, noise, bias and gamma, where they are needed."""
    noise, gx = tensors[2], torch.empty_like(tensors[0])
    summed = needed[1] or needed[3] or needed[4]
    sums, gnoise = _launch(compiled or plugin(), GRADIENT, tensors, config, gx, gy=gy, sums=summed,
                           pixel_sums=needed[2])
    gscale, gbias, ggamma = sums.unbind(dim=1) if summed else (None, None, None)
    if needed[2]:
        gnoise = gnoise.sum(dim=0) if noise.shape[0] > 1 else gnoise.sum(dim=(0, 1))[None]
    return (gx, gscale if needed[1] else None, gnoise if needed[2] else None,
            gbias.sum(dim=0) if needed[3] else None, ggamma.sum() if needed[4] else None)


def curvature(tensors, gy, directions, config, needed) -> tuple[torch.Tensor | None, ...]:
    """The gradients of <gradient, directions> in gy, x and scale, where they are needed."""
    ggx, ggscale = directions[:2]
    ggy = torch.empty_like(tensors[0])
    gx = torch.empty_like(tensors[0]) if needed[1] and ggscale is not None else None
    summed = needed[2] and ggx is not None
    sums, _ = _launch(plugin(), CURVATURE, tensors, config, ggy, gy=gy, directions=directions, second=gx,
                      sums=summed)
    return ggy, gx, sums[:, 0] if summed else None


def _launch(compiled, kind, tensors, config, result, gy=None, directions=(None,) * 5, second=None, sums=False,
            pixel_sums=False):
    """One pass -> its sums over pixels [N, 3, C], and over chunks of channels [chunks, N, 1, H, W]."""
    x, scale, noise, bias, gamma, rows, cols = tensors
    (rows_first, slope, gain, clamp), (count, channels, height, width) = config, x.shape
    dtype, last = _arithmetic(x.dtype), layout(x) == torch.channels_last
    ggx, *directions = directions
    gy, ggx = (t if t is None or t.stride() == x.stride() else torch.empty_like(x).copy_(t)
               for t in (gy, ggx))
    small = [None if t is None else t.to(dtype).contiguous()
             for t in (scale, noise, bias, gamma, *directions)]
    halves = [None if half is None else _arranged(half, x.dtype, last) for half in (rows, cols)]
    at = lambda *given: tuple(map(custom_ops.address, given))
    call = (kind, custom_ops.DTYPES[x.dtype], at(x, gy, ggx, result, second), at(*small[:4]), at(*small[4:]),
            (_step(small[1]), _step(small[5])),
            (*at(*halves), _step(halves[0]), _step(halves[1]), rows_first),
            (count, channels, height, width, last), (slope, gain, -1.0 if clamp is None else clamp))
    segments, chunks = compiled.split(call) if sums or pixel_sums else (0, 0)
    empty = functools.partial(torch.empty, dtype=dtype, device=x.device)
    sums = empty([count, segments, 3, channels]) if sums else None
    pixel_sums = empty([chunks, count, 1, height, width]) if pixel_sums else None
    custom_ops.launch(compiled.epilogue, x, call, *at(sums, pixel_sums))
    return None if sums is None else sums.sum(dim=1), pixel_sums


def _step(tensor: torch.Tensor | None) -> int:
    """From sample to sample; 0 where all share one."""
    return 0 if tensor is None or tensor.shape[0] == 1 else tensor[0].numel()


def _arranged(half: torch.Tensor, dtype: torch.dtype, channels_last: bool) -> torch.Tensor:
    """[N, C / 2, H], for channels last in the order [N, H, C / 2]: as the kernel reads it."""
    if half.shape[0] > 1 or half.is_inference():
        return _rearranged(half, dtype, channels_last)
    return _kept(half, half._version, dtype, channels_last)


def _rearranged(half, dtype, channels_last):
    return (half.transpose(1, 2) if channels_last else half).to(dtype).contiguous()


@functools.lru_cache(maxsize=64)
def _kept(half, version, dtype, channels_last):
    """The encoding of a canvas is the same object at every step, so this is done once."""
    return _rearranged(half, dtype, channels_last)


def agrees(compiled) -> bool:
    """Whether the kernels do on this machine what the plain version does."""
    from .epilogue import plain_epilogue        # which imports this
    trial, config = custom_ops.trial, (True, 0.2, 1.5, 2.0)
    for order in (torch.contiguous_format, torch.channels_last):
        x = (trial(2, 32, 5, 8) * 3).contiguous(memory_format=order)
        leaves = [t.requires_grad_() for t in (x, trial(2, 32), trial(2, 1, 5, 8), trial(32), trial(1)[0])]
        tensors = *leaves, trial(1, 16, 5), trial(1, 16, 8)
        y = plain_epilogue(*tensors, config)
        gy = y.detach().sin()
        ours = value(tensors, config, compiled), *gradient(tensors, gy, config, (True,) * 5, compiled)
        theirs = y, *torch.autograd.grad(y, leaves, gy)
        if not all(torch.allclose(*pair, atol=1e-3) for pair in zip(ours, theirs)):
            return False
    return True
