import torch

functional = torch.nn.functional


def setup_filter(f, device=torch.device('cpu'), normalize=True, flip_filter=False, gain=1, separable=None):
    f = torch.as_tensor([1, 1] if f is None else f, dtype=torch.float32)
    f = torch.outer(f, f) if f.ndim == 1 else f
    return f / f.sum() * gain


def upfirdn2d(x, f, up=1, down=1, padding=0, flip_filter=False, gain=1, impl='cuda'):
    count, channels, height, width = x.shape
    left, right, top, bottom = [padding] * 4 if isinstance(padding, int) else padding
    x = functional.pad(x.reshape(count, channels, height, 1, width, 1), [0, up - 1, 0, 0, 0, up - 1])
    x = functional.pad(x.reshape(count, channels, height * up, width * up), [left, right, top, bottom])
    f = f.to(x.dtype) * gain
    f = (f if flip_filter else f.flip(0, 1)).expand(channels, 1, -1, -1)
    return functional.conv2d(x, f, groups=channels)[:, :, ::down, ::down]


def upsample2d(x, f, up=2, padding=0, flip_filter=False, gain=1, impl='cuda'):
    taps = f.shape[-1]
    sides = [(taps + up - 1) // 2, (taps - up) // 2] * 2
    return upfirdn2d(x, f, up=up, padding=sides, flip_filter=flip_filter, gain=gain * up ** 2)


def downsample2d(x, f, down=2, padding=0, flip_filter=False, gain=1, impl='cuda'):
    taps = f.shape[-1]
    sides = [(taps - down + 1) // 2, (taps - down) // 2] * 2
    return upfirdn2d(x, f, down=down, padding=sides, flip_filter=flip_filter, gain=gain)
