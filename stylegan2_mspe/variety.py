"""How much pictures differ, whatever their colours: a generator that collapsed draws one shape."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from stylegan2_mspe.similarity import grey

SIZE = 32               # pixels pictures are averaged down to: shapes, and no texture
FLAT = .01              # contrast below which a picture counts as one flat grey


def variety(pictures: np.ndarray) -> float:
    """Mean over all pairs of 1 - the correlation of their greys: 0 = alike but for brightness and contrast.

    pictures: uint8 [N, C, H, W], N ≥ 2. Unrelated pictures have about 1. Flat ones are alike.
    """
    images = torch.from_numpy(pictures).float() / 127.5 - 1
    size = [min(SIZE, length) for length in images.shape[2:]]
    flat = interpolate(grey(images)[:, None], size, mode='area').flatten(1)
    flat = flat - flat.mean(dim=1, keepdim=True)
    constant = flat.new_full([len(flat), 1], FLAT * flat.shape[1] ** .5)    # all that a flat picture has left
    unit = torch.nn.functional.normalize(torch.cat([flat, constant], dim=1).double(), dim=1)
    count = len(unit)
    alike = (unit.sum(dim=0).square().sum() - count) / (count * (count - 1))    # without each with itself
    return float(1 - alike)
