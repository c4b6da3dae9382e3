"""Upsample by zero-stuffing, pad, filter (FIR) and downsample `[N, C, H, W]` images in one operator.

The gradient of this operator is the operator itself with up and down exchanged and the filter flipped, so one
autograd function serves every order of differentiation and saves nothing but the filter.
"""

import functools
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from torch_utils import custom_ops
from torch_utils.ops.layout import faster_layout, memory_format

# ---- Filters -----------------------------------------------------------------------------------------------


def setup_filter(f, device=torch.device('cpu'), normalize: bool = True, flip_filter: bool = False,
                 gain: float = 1, separable: bool | None = None) -> torch.Tensor:
    """Prepares a float32 FIR filter for the functions below.

    `f`: array or list of shape [h, w] (2-D), [taps] (applied along both axes) or [] (one tap), or None for
    the identity, which becomes [1, 1] of ones. 1-D filters of fewer than 8 taps become their outer product
    unless `separable` says otherwise. `normalize` makes the taps sum to 1; `gain` is that of the
    two-dimensional result.
    """
    if f is None:
        return torch.ones([1, 1], dtype=torch.float32, device=device)
    taps = torch.as_tensor(f, dtype=torch.float32)
    if taps.ndim > 2 or taps.numel() == 0:
        raise ValueError(f'A filter has one or two dimensions and some taps, not shape {list(taps.shape)}.')
    taps = taps.reshape(1) if taps.ndim == 0 else taps
    if separable is None:
        separable = taps.ndim == 1 and taps.numel() >= 8
    if separable and taps.ndim == 2:
        raise ValueError(f'A separable filter is given as one dimension, not as shape {list(taps.shape)}.')
    if taps.ndim == 1 and not separable:
        taps = torch.outer(taps, taps)
    if normalize:
        taps = taps / taps.sum()
    if flip_filter:
        taps = taps.flip(list(range(taps.ndim)))
    return (taps * gain ** (taps.ndim / 2)).to(device)


# ---- Arguments ---------------------------------------------------------------------------------------------


class Geometry(NamedTuple):
    """What upfirdn2d does along the two axes; padding counts upsampled pixels and may be negative."""
    up_y: int
    up_x: int
    down_y: int
    down_x: int
    top: int
    bottom: int
    left: int
    right: int

    def output_size(self, height: int, width: int, taps_y: int, taps_x: int) -> tuple[int, int]:
        filtered_y = height * self.up_y + self.top + self.bottom - taps_y + 1
        filtered_x = width * self.up_x + self.left + self.right - taps_x + 1
        if filtered_y < 1 or filtered_x < 1:
            raise ValueError(
                f'A {height}x{width} image with {self} is smaller than its {taps_y}x{taps_x} filter.')
        return -(-filtered_y // self.down_y), -(-filtered_x // self.down_x)

    def adjoint(self, in_size, out_size, taps_y: int, taps_x: int) -> 'Geometry':
        """The geometry that takes a gradient of size `out_size` back to `in_size` (with the filter
        flipped)."""
        return Geometry(
            up_y=self.down_y, up_x=self.down_x, down_y=self.up_y, down_x=self.up_x,
            top=taps_y - 1 - self.top,
            bottom=(in_size[0] - 1) * self.up_y - out_size[0] * self.down_y + self.top + 1,
            left=taps_x - 1 - self.left,
            right=(in_size[1] - 1) * self.up_x - out_size[1] * self.down_x + self.left + 1)


def parse_scaling(scaling) -> tuple[int, int]:
    """An int or [x, y] → (x, y), each at least 1."""
    x, y = scaling if isinstance(scaling, (tuple, list, np.ndarray)) else (scaling, scaling)
    if int(x) != x or int(y) != y or x < 1 or y < 1:
        raise ValueError(f'A resampling factor is an integer of at least 1, not {scaling}.')
    return int(x), int(y)


def parse_padding(padding) -> tuple[int, int, int, int]:
    """An int, [x, y] or [x0, x1, y0, y1] → (x0, x1, y0, y1)."""
    values = list(padding) if isinstance(padding, (tuple, list, np.ndarray)) else [padding]
    if len(values) not in (1, 2, 4) or any(int(v) != v for v in values):
        raise ValueError(f'Padding is an integer, [x, y] or [x0, x1, y0, y1], not {padding}.')
    x0, x1, y0, y1 = (int(v) for v in values for _ in range(4 // len(values)))
    return x0, x1, y0, y1


def filter_size(f: torch.Tensor | None) -> tuple[int, int]:
    """Taps of a prepared filter along (x, y)."""
    if f is None:
        return 1, 1
    if f.ndim not in (1, 2):
        raise ValueError(f'A filter comes from setup_filter with one or two dimensions, not {f.ndim}.')
    return f.shape[-1], f.shape[0]


# ---- The operator ------------------------------------------------------------------------------------------


def upfirdn2d(x: torch.Tensor, f: torch.Tensor | None, up=1, down=1, padding=0, flip_filter: bool = False,
              gain: float = 1, impl: str = 'cuda') -> torch.Tensor:
    """Zero-stuffs by `up`, pads (negative: crops), filters with `f` and keeps every `down`-th pixel.

    x: [N, C, H, W], any floating dtype and layout, both kept. f: from `setup_filter` ([h, w], or [taps]
    applied along both axes); takes no gradient. up, down: int or [x, y]; padding: int, [x, y] or [x0, x1, y0,
    y1] in pixels of the upsampled image. flip_filter: False convolves, True correlates. gain multiplies the
    result. impl: 'cuda' takes a compiled kernel where there is one for this tensor, 'ref' never.
    """
    assert impl in ('cuda', 'ref'), impl
    assert x.ndim == 4, f'expected [N, C, H, W], got {list(x.shape)}'
    assert f is None or not f.requires_grad, 'upfirdn2d gives its filter no gradient'
    (up_x, up_y), (down_x, down_y) = parse_scaling(up), parse_scaling(down)
    left, right, top, bottom = parse_padding(padding)
    g = Geometry(up_y, up_x, down_y, down_x, top, bottom, left, right)
    if f is None:
        f = torch.ones([1, 1], dtype=torch.float32, device=x.device)
    if f.ndim == 1:  # two cheap passes; rows first where the picture shrinks there, last where it grows
        gain = gain ** 0.5
        rows = (f[:, None], g._replace(up_x=1, down_x=1, left=0, right=0))
        cols = (f[None, :], g._replace(up_y=1, down_y=1, top=0, bottom=0))
        for taps, geometry in (rows, cols) if down_y >= up_y else (cols, rows):
            x = _resample(x, taps, geometry, flip_filter, gain, impl)
        return x
    return _resample(x, f, g, flip_filter, gain, impl)


def filter2d(x: torch.Tensor, f: torch.Tensor | None, padding=0, flip_filter: bool = False, gain: float = 1,
             impl: str = 'cuda') -> torch.Tensor:
    """Filters without resampling; the natural padding keeps the size, `padding` is added to it."""
    fx, fy = filter_size(f)
    x0, x1, y0, y1 = parse_padding(padding)
    natural = [x0 + fx // 2, x1 + (fx - 1) // 2, y0 + fy // 2, y1 + (fy - 1) // 2]
    return upfirdn2d(x, f, padding=natural, flip_filter=flip_filter, gain=gain, impl=impl)


def upsampling_padding(f: torch.Tensor | None, up) -> np.ndarray:
    """[x0, x1, y0, y1] with which upsampling makes an image exactly `up` times as large."""
    (fx, fy), (ux, uy) = filter_size(f), parse_scaling(up)
    return np.array([(fx + ux - 1) // 2, (fx - ux) // 2, (fy + uy - 1) // 2, (fy - uy) // 2])


def downsampling_padding(f: torch.Tensor | None, down) -> np.ndarray:
    """[x0, x1, y0, y1] with which downsampling makes an image exactly 1/`down` times as large."""
    (fx, fy), (dx, dy) = filter_size(f), parse_scaling(down)
    return np.array([(fx - dx + 1) // 2, (fx - dx) // 2, (fy - dy + 1) // 2, (fy - dy) // 2])


def upsample2d(x: torch.Tensor, f: torch.Tensor | None, up=2, padding=0, flip_filter: bool = False,
               gain: float = 1, impl: str = 'cuda') -> torch.Tensor:
    """Upsamples by `up`, keeping the mean; `padding` is relative to the natural one (output = `up` ×
    input)."""
    ux, uy = parse_scaling(up)
    total = upsampling_padding(f, up) + parse_padding(padding)
    return upfirdn2d(x, f, up=up, padding=total, flip_filter=flip_filter, gain=gain * ux * uy, impl=impl)


def downsample2d(x: torch.Tensor, f: torch.Tensor | None, down=2, padding=0, flip_filter: bool = False,
                 gain: float = 1, impl: str = 'cuda') -> torch.Tensor:
    """Downsamples by `down`; `padding` is relative to the natural one (output = input / `down`)."""
    total = downsampling_padding(f, down) + parse_padding(padding)
    return upfirdn2d(x, f, down=down, padding=total, flip_filter=flip_filter, gain=gain, impl=impl)


# ---- Implementation ----------------------------------------------------------------------------------------


def _resample(x: torch.Tensor, f: torch.Tensor, g: Geometry, flip_filter: bool, gain: float,
              impl: str) -> torch.Tensor:
    if g == (1,) * 4 + (0,) * 4 and f.numel() == 1:
        return x * (f * gain if gain != 1 else f).to(x.dtype).reshape([])
    if torch.is_grad_enabled() and x.requires_grad:
        return _Upfirdn2d.apply(x, f, g, flip_filter, gain, impl)
    return _run(x, f, g, flip_filter, gain, impl)


def _run(x: torch.Tensor, f: torch.Tensor, g: Geometry, flip_filter: bool, gain: float,
         impl: str) -> torch.Tensor:
    return custom_ops.implementation('upfirdn2d', plain_upfirdn2d, x, impl)(x, f, g, flip_filter, gain)


class _Upfirdn2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, f, g, flip_filter, gain, impl):
        y = _run(x, f, g, flip_filter, gain, impl)
        # Not through save_for_backward: the kernel knows a filter that it has met by its object.
        ctx.adjoint = f, g.adjoint(x.shape[2:], y.shape[2:], *f.shape), not flip_filter, gain, impl
        return y

    @staticmethod
    def backward(ctx, gy):
        gx = _Upfirdn2d.apply(gy, *ctx.adjoint) if ctx.needs_input_grad[0] else None
        return gx, None, None, None, None, None


def plain_upfirdn2d(x: torch.Tensor, f: torch.Tensor, g: Geometry, flip_filter: bool,
                    gain: float) -> torch.Tensor:
    """The reference implementation: x [N, C, H, W], f [h, w]; a compiled kernel has this signature."""
    layout = memory_format(x)
    f = f * gain if gain != 1 else f
    height, width = g.output_size(*x.shape[2:], *f.shape)
    if x.numel() == 0:
        return x.new_empty([*x.shape[:2], height, width])
    run = _stretch if g.up_y > 1 or g.up_x > 1 else _shrink
    y = run(x, f, g, flip_filter)
    assert y.shape[2:] == (height, width), (y.shape, height, width)
    return y.contiguous(memory_format=layout)


def _depthwise(f: torch.Tensor, flip: bool, like: torch.Tensor) -> torch.Tensor:
    """The filter as the weight of a convolution that treats every channel alike: [C, 1, h, w]."""
    f = f.flip([0, 1]) if flip and f.numel() > 1 else f
    return f.to(like.dtype).expand(like.shape[1], 1, *f.shape).contiguous()


def _shrink(x: torch.Tensor, f: torch.Tensor, g: Geometry, flip_filter: bool) -> torch.Tensor:
    """No upsampling: one strided depthwise convolution; only padding that is not symmetric needs a copy."""
    pad_y, pad_x = max(min(g.top, g.bottom), 0), max(min(g.left, g.right), 0)
    rest = [g.left - pad_x, g.right - pad_x, g.top - pad_y, g.bottom - pad_y]
    x = _pad(x, rest)
    w = _depthwise(f, not flip_filter, x)
    return F.conv2d(x, w, stride=(g.down_y, g.down_x), padding=(pad_y, pad_x), groups=x.shape[1])


def _stretch(x: torch.Tensor, f: torch.Tensor, g: Geometry, flip_filter: bool) -> torch.Tensor:
    """Upsampling: one transposed depthwise convolution, which never sees the stuffed zeros, then the rest.

    The transposed convolution yields every output that can differ from zero, i.e. it pads by taps − 1 before
    and taps − up after; what was asked for is a window of that, or goes beyond it by zeros.
    """
    taps_y, taps_x = f.shape
    rest_y = [g.top - (taps_y - 1), g.bottom - (taps_y - g.up_y)]
    rest_x = [g.left - (taps_x - 1), g.right - (taps_x - g.up_x)]
    crop_y, crop_x = max(-max(rest_y), 0), max(-max(rest_x), 0)
    # bfloat16 has no fast transposed depthwise kernel on a CPU (20 times as long as float32's)
    on_cpu_reduced = x.device.type == 'cpu' and x.dtype in (torch.bfloat16, torch.float16)
    y = x.to(torch.float32) if on_cpu_reduced else x
    y = y.contiguous(memory_format=faster_layout(y))
    w = _depthwise(f, flip_filter, y)
    y = F.conv_transpose2d(y, w, stride=(g.up_y, g.up_x), padding=(crop_y, crop_x), groups=x.shape[1])
    y = y.to(x.dtype)
    y = _pad(y, [rest_x[0] + crop_x, rest_x[1] + crop_x, rest_y[0] + crop_y, rest_y[1] + crop_y])
    return y[:, :, ::g.down_y, ::g.down_x]


def _pad(x: torch.Tensor, x0x1y0y1: list[int]) -> torch.Tensor:
    """Pads by zeros or crops, copying only when there is something to add."""
    x0, x1, y0, y1 = x0x1y0y1
    x = x[:, :, max(-y0, 0):x.shape[2] - max(-y1, 0), max(-x0, 0):x.shape[3] - max(-x1, 0)]
    grow = [max(v, 0) for v in x0x1y0y1]
    return F.pad(x, grow) if any(grow) else x


# ---- CUDA --------------------------------------------------------------------------------------------------


def cuda_upfirdn2d(x: torch.Tensor, f: torch.Tensor, g: Geometry, flip_filter: bool,
                   gain: float) -> torch.Tensor:
    """The same by the compiled kernel, where there is one and it takes this."""
    plugin = custom_ops.cuda_plugin('upfirdn2d', custom_ops.HEADERS, agrees)
    height, width = g.output_size(*x.shape[2:], *f.shape)
    # 32-bit positions, of blocks that may reach beyond the last; and a grid has fewer rows than columns.
    small = max(x.shape[1] * max(width, x.shape[3]), x.shape[2]) < 2 ** 30 and height < 2 ** 16
    taken = x.dtype in custom_ops.DTYPES and x.numel() > 0 and f.device == x.device
    if plugin is None or not taken or not small:
        return plain_upfirdn2d(x, f, g, flip_filter, gain)
    return compiled_upfirdn2d(plugin, x, f, g, flip_filter, gain)


def compiled_upfirdn2d(plugin, x: torch.Tensor, f: torch.Tensor, g: Geometry, flip_filter: bool,
                       gain: float) -> torch.Tensor:
    """plain_upfirdn2d by the plugin's kernels: x not empty, of a type in custom_ops.DTYPES."""
    layout = memory_format(x)
    x, f = x.contiguous(memory_format=layout), f.to(torch.float32).contiguous()
    count, channels, height, width = x.shape
    y = torch.empty([count, channels, *g.output_size(height, width, *f.shape)], dtype=x.dtype,
                    device=x.device, memory_format=layout)
    images, inner = (count, channels) if layout == torch.channels_last else (count * channels, 1)
    factors = None
    usual = (g.up_y, g.up_x, g.down_y, g.down_x) in [(1, 1, 1, 1), (2, 2, 1, 1), (1, 1, 2, 2)]
    if usual and f.shape == (4, 4) and x.dtype != torch.float64:
        version = 0 if f.is_inference() else f._version
        factors = _factors(f, version, flip_filter, gain)
    custom_ops.launch(
        plugin.upfirdn2d, x, x.data_ptr(), y.data_ptr(), f.data_ptr(), images,
        (inner, height, width, *y.shape[2:]), tuple(f.shape),
        (g.up_y, g.up_x, g.down_y, g.down_x, g.top, g.left), flip_filter, gain,
        custom_ops.DTYPES[x.dtype], factors)
    return y


@functools.lru_cache(maxsize=1024)      # two of every layer of a network: it must not begin to go round
def _factors(f: torch.Tensor, version: int, flip_filter: bool, gain: float) -> tuple[float, ...] | None:
    """The taps of a [4, 4] filter along y, then along x, for correlation; None where it is no product.

    Reading them waits for the GPU, so they are kept with the filter's object, as long as its version lasts.
    """
    factors = separate(tuple(map(tuple, f.tolist())))
    if factors is None:
        return None
    rows, cols = factors if flip_filter else [axis[::-1] for axis in factors]
    return *(rows * gain).tolist(), *cols.tolist()


@functools.lru_cache(maxsize=64)
def separate(taps: tuple[tuple[float, ...], ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """The vertical and horizontal factors (float32) of a filter that is their outer product, else None."""
    matrix = np.array(taps)
    left, singular, right = np.linalg.svd(matrix)
    if singular[0] == 0 or (len(singular) > 1 and singular[1] > 1e-6 * singular[0]):
        return None
    scale = np.sqrt(singular[0]) * np.sign(left[:, 0].sum() or 1)
    return (left[:, 0] * scale).astype(np.float32), (right[0] * singular[0] / scale).astype(np.float32)


def agrees(plugin) -> bool:
    """Whether the kernels do on this machine what the plain version does."""
    x = custom_ops.trial(2, 8, 9, 13)
    for f in (setup_filter([1, 3, 3, 1], device=x.device), setup_filter([[1, 2, 5]], device=x.device)):
        for up, down in ((1, 1), (2, 1), (1, 2)):
            for layout in (torch.contiguous_format, torch.channels_last):
                g = Geometry(up, up, down, down, 2, 1, 3, -1)
                arguments = x.contiguous(memory_format=layout), f, g, False, 2.0
                ours, plain = compiled_upfirdn2d(plugin, *arguments), plain_upfirdn2d(*arguments)
                if not torch.allclose(ours, plain, atol=1e-2):          # plain may use TensorFloat-32
                    return False
    return True


custom_ops.register_kernel('upfirdn2d', cuda_upfirdn2d)
