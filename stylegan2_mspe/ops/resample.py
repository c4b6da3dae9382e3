"""upfirdn2d on a CPU: separable filters as two short sums a pixel, which see no stuffed zeros.

Registered as the CPU kernel of torch_utils.ops.upfirdn2d, from 16 channels on; fewer are left to torch's
depthwise convolution.
"""

import ctypes

import numpy as np
import torch

from torch_utils import custom_ops
from torch_utils.ops import upfirdn2d

from . import native


def resample(x: torch.Tensor, f: torch.Tensor, g, flip_filter: bool, gain: float) -> torch.Tensor:
    """Same arguments and numbers as plain_upfirdn2d, which serves where the kernel cannot or need not."""
    factors = None
    if x.shape[1] >= 16 and x.is_contiguous(memory_format=torch.channels_last) and native.usable(x):
        factors = upfirdn2d.separate(tuple(map(tuple, f.tolist())))
    if factors is None:
        return upfirdn2d.plain_upfirdn2d(x, f, g, flip_filter, gain)
    vertical, horizontal = factors if flip_filter else [axis[::-1].copy() for axis in factors]
    vertical = (vertical * gain).astype(np.float32)
    height, width = g.output_size(*x.shape[2:], *f.shape)
    y = torch.empty([*x.shape[:2], height, width], dtype=x.dtype, memory_format=torch.channels_last)
    integers = lambda *values: (ctypes.c_int64 * len(values))(*values)
    native.library().mspe_resample(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (x, y)),
        *(ctypes.c_void_p(axis.ctypes.data) for axis in (vertical, horizontal)),
        integers(x.shape[0], *x.shape[2:], height, width, x.shape[1]),
        integers(len(vertical), g.up_y, g.down_y, g.top), integers(len(horizontal), g.up_x, g.down_x, g.left),
        x.dtype == torch.bfloat16, torch.get_num_threads())
    return y


# Another checkout's torch_utils may be on the path, without this seam.
if hasattr(custom_ops, 'register_kernel'):
    custom_ops.register_kernel('upfirdn2d', resample, device='cpu')
