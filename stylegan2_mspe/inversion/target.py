"""The picture to be found: read from a file and made to fit the network."""

import pathlib

import numpy as np
import torch

from stylegan2_mspe.fit import Fit
from stylegan2_mspe.picture_file import MODES, decode_picture, describe

FITS = ('crop', 'pad', 'as-is')
SMALLEST = 4            # pixels a side


def read_target(path: str, how: str, resolution: int, channels: int) -> np.ndarray:
    """The picture as uint8 [H, W, channels], H = W = resolution unless it stays as it is.

    how: 'crop' cuts the largest square from the middle, 'pad' centres the whole on a black (or, with four
    channels, transparent) square; both are then scaled. Transparent pictures lie on black where the network
    draws none. Raises ValueError for what is no picture or too small, OSError.
    """
    assert how in FITS
    if channels not in MODES:
        raise ValueError(f'--network: found a network of {channels} channels, expected one that draws grey, '
                         'RGB or RGBA pictures (1, 3 or 4)')
    pixels = decode_picture(pathlib.Path(path).read_bytes(), f'--target={path}')
    if min(pixels.shape[:2]) < SMALLEST:
        raise ValueError(f'--target={path}: found {describe(pixels.shape)}, expected at least '
                         f'{SMALLEST}x{SMALLEST} pixels')
    if how == 'crop':
        square = Fit(transform='center-crop', width=resolution, height=resolution, channels=channels)
        return square.apply(pixels)
    if how == 'as-is':
        return Fit(channels=channels).apply(pixels)
    longest = max(pixels.shape[:2])
    height, width = (max(1, round(side * resolution / longest)) for side in pixels.shape[:2])
    pixels = Fit(width=width, height=height, channels=channels).apply(pixels)
    top, left = (resolution - height) // 2, (resolution - width) // 2
    return np.pad(pixels, [(top, resolution - height - top), (left, resolution - width - left), (0, 0)])


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    """uint8 [N, H, W, C] to float32 [N, C, H, W] in [-1, 1], as training reads pictures."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
