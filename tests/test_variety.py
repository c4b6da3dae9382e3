"""How different pictures are: blind to colour and brightness, against a loop over pairs."""

import numpy as np
import pytest

from stylegan2_mspe.variety import variety


def shapes(count, seed=0, channels=3, size=24):
    """Blobs, each in a random colour: one after the other unless `count` is a list of which to draw."""
    random = np.random.RandomState(seed)
    masks = random.rand(max(np.ravel(count)) + 1 if np.ndim(count) else count, size, size) > .7
    masks = masks[count] if np.ndim(count) else masks
    colour = random.uniform(.3, 1, [len(masks), channels, 1, 1])
    return (masks[:, None] * colour * 255).astype(np.uint8)


def test_pairs_by_hand():
    """1 - correlation of greys, over all pairs; small pictures are not averaged down."""
    pictures = shapes(6, channels=1)
    grey = pictures[:, 0].reshape(6, -1) / 255.
    correlations = np.corrcoef(grey)[np.triu_indices(6, 1)]
    assert variety(pictures) == pytest.approx(np.mean(1 - correlations), abs=.002)


def test_one_shape_in_many_colours_has_none():
    assert variety(shapes([3] * 20)) < .01
    assert variety(shapes(20)) > .9
    assert variety(shapes([0, 1] * 10)) == pytest.approx(variety(shapes(2)) * 10 / 19, rel=.05)


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_flat_pictures_are_alike(channels):
    flat = np.broadcast_to(np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1) * 20, [9, channels, 16, 20])
    assert variety(np.ascontiguousarray(flat)) < 1e-6
    assert variety(np.zeros([2, channels, 8, 8], np.uint8)) == pytest.approx(0, abs=1e-12)


def test_large_pictures_are_averaged_down_and_small_ones_are_not():
    pictures = shapes(5, size=32)
    large = pictures.repeat(4, axis=2).repeat(4, axis=3)
    assert variety(large) == pytest.approx(variety(pictures), abs=1e-6)
    assert variety(large[:, :, :, :64]) == pytest.approx(variety(pictures[:, :, :, :16]), abs=.05)
