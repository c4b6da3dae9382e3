"""TorchScript networks that see pictures: where StyleGAN2's are found, and how one is opened."""

import glob
import hashlib
import io
import os
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

import dnnlib

FOLDER = 'MSPE_DETECTORS'       # names, in the environment, a folder with files of these names
VGG_PIXELS = 256                # larger pictures are reduced to it, as in StyleGAN2's projector
_URL = 'https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/'
URLS = {'inception': _URL + 'inception-2015-12-05.pt', 'vgg16': _URL + 'vgg16.pt'}


class DetectorFile(NamedTuple):
    network: torch.jit.ScriptModule     # in eval mode
    sha256: str                         # of the file


def source(kind: str, given: str | None = None) -> str:
    """Where a detector comes from: the file that was given, one in $MSPE_DETECTORS, else StyleGAN2's URL."""
    if given:
        return given
    folder = os.environ.get(FOLDER)
    path = folder and os.path.join(folder, os.path.basename(URLS[kind]))
    return path if path and os.path.isfile(path) else URLS[kind]


def at_hand(kind: str) -> bool:
    """Whether StyleGAN2's needs no download."""
    place = source(kind)
    return '://' not in place or cached(place)


def cached(url: str) -> bool:
    """Whether a file of that URL has been downloaded before."""
    name = hashlib.md5(url.encode()).hexdigest() + '_*'
    return bool(glob.glob(name, root_dir=dnnlib.make_cache_dir_path('downloads')))


def open_torchscript(place: str, device: torch.device | str, otherwise: str = '',
                     attempts: int = 10) -> DetectorFile:
    """The TorchScript network in a file or at a URL.

    otherwise: what would do instead, for the sentence. attempts: of a download. Raises ValueError where there
    is none.
    """
    try:
        with dnnlib.util.open_url(place, num_attempts=attempts) as file:
            data = file.read()
    except OSError as error:
        raise ValueError(f'--detector={place}: {error.strerror or error}, expected a TorchScript file'
                         f'{otherwise}') from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', DeprecationWarning)     # these files are of a kind that is older
            network = torch.jit.load(io.BytesIO(data), map_location=device).eval()
    except RuntimeError as error:
        raise ValueError(f'--detector={place}: found no TorchScript network, expected a file such as '
                         'vgg16.pt') from error
    return DetectorFile(network, hashlib.sha256(data).hexdigest())


def options_of(network: torch.jit.ScriptModule, **wanted) -> dict:
    """Those of the wanted keywords that the network's forward knows."""
    known = {argument.name for argument in network.forward.schema.arguments}
    return {name: value for name, value in wanted.items() if name in known}


def vgg_features(detector: torch.nn.Module) -> Callable[[torch.Tensor], list[torch.Tensor]]:
    """What a TorchScript network makes of pictures of 0 ... 255 with three channels.

    StyleGAN2's own knows `return_lpips`, whose squared differences add up to LPIPS; any other is called with
    the pictures alone.
    """
    options = options_of(detector, resize_images=False, return_lpips=True)

    def features(pictures):
        pictures = as_rgb(pictures)
        if max(pictures.shape[2:]) > VGG_PIXELS:
            ratio = VGG_PIXELS / max(pictures.shape[2:])
            pictures = F.interpolate(pictures, scale_factor=ratio, mode='area')
        values = detector(pictures * 127.5 + 128, **options)
        # Mean squares are taken later, where StyleGAN2 takes the sum.
        return [values * values[0].numel() ** 0.5]

    return features


def as_rgb(pictures: torch.Tensor) -> torch.Tensor:
    """Three channels: grey ones are repeated; transparent ones lie on black."""
    if pictures.shape[1] == 4:
        opacity = pictures[:, 3:] * 0.5 + 0.5
        return (pictures[:, :3] + 1) * opacity - 1
    return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures
