"""Structured, coloured backgrounds for digits: what a search for the digit must not fall for."""

import numpy as np
import scipy.ndimage

KINDS = ('black', 'gradient', 'stripes', 'blobs')
BRIGHTEST = 0.5                 # of a background, where digits reach 1
BLOB = 4                        # deviation of the filter that makes blobs, in pixels


def background(kind: str, size: int, random: np.random.RandomState) -> np.ndarray:
    """A picture [size, size, 3] in [0, BRIGHTEST], of one of KINDS.

    gradient: from one colour to another; stripes: waves of two colours, 8 to 20 pixels long; blobs: filtered
    noise, each colour on its own.
    """
    assert kind in KINDS
    if kind == 'black':
        return np.zeros([size, size, 3])
    if kind == 'blobs':
        fields = scipy.ndimage.gaussian_filter(random.standard_normal([size, size, 3]), (BLOB, BLOB, 0))
        low, high = fields.min(axis=(0, 1)), fields.max(axis=(0, 1))
        return BRIGHTEST * (fields - low) / (high - low)
    angle, colours = random.uniform(0, 2 * np.pi), random.random_sample([2, 3])
    y, x = np.mgrid[:size, :size]
    along = y * np.sin(angle) + x * np.cos(angle)
    if kind == 'gradient':
        mix = (along - along.min()) / (along.max() - along.min())
    else:
        mix = 0.5 + 0.5 * np.sin(2 * np.pi * along / random.uniform(8, 20) + random.uniform(0, 2 * np.pi))
    return BRIGHTEST * ((1 - mix[:, :, None]) * colours[0] + mix[:, :, None] * colours[1])
