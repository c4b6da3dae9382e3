"""A U-Net small enough to run in milliseconds, filled so that no layer hides behind a zero."""

import torch

from ddpm_mspe.unet import UNet

from tests.golden import draw


def make_unet(pe='mspe', img_resolution=16, img_channels=3, **kwargs):
    options = dict(channels=8, multipliers=(1, 2, 2), blocks=(0, 1, 2), attention=(4,), dropout=0.2, groups=4)
    return fill_unet(UNet(img_resolution=img_resolution, img_channels=img_channels, pe=pe,
                         **{**options, **kwargs}))


@torch.no_grad()
def fill_unet(net, seed=7):
    """Every parameter from its name, at the size a trained one has; in eval mode, without gradients."""
    for name, tensor in net.named_parameters():
        value = draw(name, tensor.shape, seed)
        if name.endswith('gamma') or 'norm' in name and name.endswith('weight'):
            value = 1 + .2 * value
        elif tensor.ndim > 1:
            value = value / tensor[0].numel() ** .5
        tensor.copy_(value if tensor.ndim != 1 or 'norm' in name else .1 * value)
    return net.eval().requires_grad_(False)
