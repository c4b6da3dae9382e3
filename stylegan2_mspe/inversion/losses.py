"""How far a picture is from a target: perceptual losses, and ones that need nothing but the network file.

A loss is a function of pictures [N, C, H, W], about [-1, 1], that gives N numbers. All but LPIPS compare
features that a function draws from both; those of the target are kept.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from stylegan2_mspe import detector_file
from stylegan2_mspe.detector_file import as_rgb, vgg_features

DESCRIPTIONS = dict(vgg='features of VGG16', lpips='the LPIPS library', disc="the discriminator's features",
                    pyramid='a Laplacian pyramid', pixel='pixels at several scales')
SCALES = 4                      # of the pixel loss and of the pyramid
BLUR = (1, 4, 6, 4, 1)          # Burt and Adelson's filter

Features = Callable[[torch.Tensor], Sequence[torch.Tensor]]
Loss = Callable[[torch.Tensor], torch.Tensor]


class Kind(NamedTuple):
    """A loss that has no target yet."""
    against: Callable[[torch.Tensor], Loss]     # of targets [N or 1, C, H, W]
    network: torch.nn.Module | None = None      # that sees the pictures


def compare(features: Features, target: torch.Tensor) -> Loss:
    """The sum, over the features [N, ...], of the mean squared difference from the target's."""
    with torch.no_grad():
        wanted = features(target)

    def loss(pictures: torch.Tensor) -> torch.Tensor:
        pairs = zip(features(pictures), wanted, strict=True)
        return sum((found - aim).square().flatten(1).mean(dim=1) for found, aim in pairs)

    return loss


def halved(pictures: torch.Tensor) -> torch.Tensor:
    """Half as high and wide; an odd row or column shares its last cell with nothing."""
    return F.avg_pool2d(pictures, 2, ceil_mode=True, count_include_pad=False)


def pixel_scales(pictures: torch.Tensor) -> list[torch.Tensor]:
    """The pictures, and halved once, twice ... while anything is left; each weighs half of the one before.
    """
    scales = [pictures]
    while len(scales) < SCALES and min(scales[-1].shape[2:]) > 1:
        scales.append(halved(scales[-1]) * 0.5 ** 0.5)
    return scales


def blur(pictures: torch.Tensor) -> torch.Tensor:
    """Each channel filtered by Burt and Adelson's kernel, the border repeated."""
    taps = torch.tensor(BLUR, dtype=pictures.dtype, device=pictures.device) / sum(BLUR)
    flat = pictures.flatten(0, 1)[:, None]
    flat = F.conv2d(F.pad(flat, (2, 2, 0, 0), 'replicate'), taps[None, None, None, :])
    flat = F.conv2d(F.pad(flat, (0, 0, 2, 2), 'replicate'), taps[None, None, :, None])
    return flat.view_as(pictures)


def laplacian_pyramid(pictures: torch.Tensor) -> list[torch.Tensor]:
    """What each scale has beyond the next coarser one, and the coarsest (Burt and Adelson 1983).

    Squared differences of a level weigh half as much as those of the next finer one: descent is slowest where
    coarse levels, which a blurred picture satisfies already, have most of the say.
    """
    levels = []
    while len(levels) < SCALES - 1 and min(pictures.shape[2:]) > 1:
        smooth = blur(pictures)
        levels.append((pictures - smooth) * 2 ** (-len(levels) / 2))
        pictures = halved(smooth)
    return [*levels, pictures * 2 ** (-len(levels) / 2)]


def discriminator_features(D: torch.nn.Module) -> Features:
    """What the discriminator's blocks see, down to 8 x 8 cells, each scaled to a mean square of 1 per cell.

    The picture is added as it is: a discriminator is blind to some of it. Sizes that its blocks can't halve
    are padded by their last row and column.
    """
    blocks = [getattr(D, f'b{resolution}') for resolution in D.block_resolutions]

    def features(pictures):
        multiple = 2 ** len(blocks)
        height, width = pictures.shape[2:]
        img = F.pad(pictures, (0, -width % multiple, 0, -height % multiple), 'replicate')
        x, maps = None, [pictures]
        for block in blocks:
            x, img = block(x, img)
            maps.append(x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt())
        return maps

    return features


def open_lpips(device: torch.device) -> Kind:
    """The LPIPS library's distance with VGG. Raises ValueError without the library or its weights."""
    try:
        import lpips
        network = lpips.LPIPS(net='vgg', verbose=False).to(device).eval().requires_grad_(False)
    except ImportError as error:
        raise ValueError('--loss=lpips: found no library lpips, expected it to be installed (pip install '
                         'lpips), or another --loss') from error
    except OSError as error:
        raise ValueError(f'--loss=lpips: its weights can not be had ({error}), expected them at hand, or '
                         'another --loss') from error

    def against(target):
        wanted = as_rgb(target)
        return lambda pictures: network(as_rgb(pictures), wanted.expand(len(pictures), -1, -1, -1)).flatten()

    return Kind(against, network)


def open_detector(given: str | None, device: torch.device) -> torch.nn.Module:
    """The TorchScript network in a file, or StyleGAN2's vgg16.pt. Raises ValueError where there is none."""
    place = detector_file.source('vgg16', given)
    return detector_file.open_torchscript(place, device, ', or another --loss, such as --loss=disc').network


def best_at_hand(D: torch.nn.Module | None, detector: str | None) -> str:
    """The name of the best loss that needs no download: perceptual, the discriminator's, or the pyramid. A
    detector that was given is to be used.
    """
    if detector or detector_file.at_hand('vgg16'):
        return 'vgg'
    return 'pyramid' if D is None else 'disc'


def open_loss(name: str, device: torch.device, D: torch.nn.Module | None = None,
              detector: str | None = None) -> Kind:
    """The loss of that name. Raises ValueError where it can't be had."""
    if name == 'auto':
        name = best_at_hand(D, detector)
    if name == 'lpips':
        return open_lpips(device)
    if name == 'vgg':
        network = open_detector(detector, device)
        return Kind(functools.partial(compare, vgg_features(network)), network)
    if name == 'disc':
        if D is None:
            raise ValueError('--loss=disc: found no discriminator in the network file, expected one, or '
                             'another --loss')
        return Kind(functools.partial(compare, discriminator_features(D)), D)
    return Kind(functools.partial(compare, dict(pyramid=laplacian_pyramid, pixel=pixel_scales)[name]))


def make_loss(name: str, target: torch.Tensor, D: torch.nn.Module | None = None,
              detector: str | None = None) -> Loss:
    """The same against the target [N or 1, C, H, W]."""
    return open_loss(name, target.device, D, detector).against(target)
