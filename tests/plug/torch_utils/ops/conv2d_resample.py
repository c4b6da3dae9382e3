import torch

from .upfirdn2d import upfirdn2d


def conv2d_resample(x, w, f=None, up=1, down=1, padding=0, groups=1, flip_weight=True, flip_filter=False):
    """Filters, then convolves, at the full resolution."""
    taps = 1 if f is None else f.shape[-1]
    x0 = x1 = padding
    if up > 1:
        x0, x1 = x0 + (taps + up - 1) // 2, x1 + (taps - up) // 2
    if down > 1:
        x0, x1 = x0 + (taps - down + 1) // 2, x1 + (taps - down) // 2
    if f is not None and (up > 1 or down > 1):
        x = upfirdn2d(x, f, up=up, padding=[x0, x1] * 2, gain=up ** 2, flip_filter=flip_filter)
    elif padding:
        x = torch.nn.functional.pad(x, [padding] * 4)
    return torch.nn.functional.conv2d(x, w if flip_weight else w.flip(2, 3), stride=down, groups=groups)
