"""The leak of zero padding as a picture: a map for each level and one of the pixels, in colours."""

import numpy as np
from PIL import Image

from stylegan2_mspe import images
from stylegan2_mspe.leak import Leak

COLOURS = [(0, 0, 0), (60, 15, 110), (185, 50, 90), (250, 150, 40), (255, 250, 200)]   # even steps to MOST
MOST = 1.0                      # a leak as large as the deviation of what it disturbs


def leak_picture(leak: Leak, title: str = '') -> Image.Image:
    """The maps side by side, coarsest first, cells as large as the pixels they cover; black = no leak.

    Above each are its level and its mean, as a share of the deviation there.
    """
    height, width = leak.picture.shape
    finest = max(leak.levels)
    maps, labels = [], []
    for name, values, cell in [*((f'{r} x {r}', values, finest // r) for r, values in leak.levels.items()),
                               ('picture', leak.picture, 1)]:
        values = values.cpu().numpy()
        labels.append(f'{name}: {values.mean():.2f}')
        shown = heat(values, MOST).repeat(cell, axis=1).repeat(cell, axis=2)
        maps.append(shown[:, :height, :width])
    return images.labelled_grid([maps], [''], labels, title)


def heat(values: np.ndarray, most: float) -> np.ndarray:
    """Colours, uint8 [3, H, W], of values [H, W] from 0, black, to `most` and above, a pale yellow."""
    places = np.linspace(0, most, len(COLOURS))
    channels = [np.interp(values, places, channel) for channel in zip(*COLOURS)]
    return np.stack(channels).round().astype(np.uint8)
