"""How pictures get the size of a dataset, against pixels by hand."""

import numpy as np
import pytest

from stylegan2_mspe.fit import Fit


def random_pixels(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape, np.uint8)


def test_center_crop_takes_the_middle():
    wide, tall = random_pixels(4, 10, 3), random_pixels(9, 4, 1)
    fit = Fit(transform='center-crop', width=4, height=4)
    np.testing.assert_array_equal(fit.apply(wide), wide[:, 3:7])
    np.testing.assert_array_equal(fit.apply(tall), tall[2:6])


def test_center_crop_wide_letterboxes():
    pixels = random_pixels(20, 8, 3)
    square = Fit(transform='center-crop-wide', width=8, height=4).apply(pixels)
    assert square.shape == (8, 8, 3) and not square[:2].any() and not square[6:].any()
    np.testing.assert_array_equal(square[2:6], pixels[8:12])
    too_wide = random_pixels(4, 30, 3)
    square = Fit(transform='center-crop-wide', width=8, height=4).apply(too_wide)
    np.testing.assert_array_equal(square[2:6], too_wide[:, 11:19])


def test_box_filter_averages_and_filters_differ():
    pixels = random_pixels(8, 12, 3)
    means = pixels.reshape(4, 2, 6, 2, 3).mean((1, 3))
    box = Fit(width=6, height=4, resize_filter='box').apply(pixels)
    assert box.shape == (4, 6, 3) and np.abs(box - means).max() <= 1
    assert (box != Fit(width=6, height=4).apply(pixels)).any()
    assert Fit(width=6).apply(random_pixels(8, 12, 1)).shape == (8, 6, 1)


@pytest.mark.parametrize('options, sentence', [
    (dict(transform='center-crop'), '--transform=center-crop: found no --width and no --height, expected'),
    (dict(transform='center-crop-wide', width=8), '--transform=center-crop-wide: found no --height'),
    (dict(transform='center-crop', width=8, height=4), '--width, --height: found 8 and 4, expected the same'),
    (dict(transform='center-crop-wide', width=4, height=8), '--height: found 8, expected at most the width'),
    (dict(width=0), '--width: found 0, expected at least 1'),
])
def test_unusable_sizes(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Fit(**options)


@pytest.mark.parametrize('options, sentence', [
    (dict(width=60), '--width: found 60, expected a power of two'),
    (dict(height=60), '--height: found 60, expected a power of two'),
    (dict(width=64, height=32), '--width, --height: found 64 and 32, expected the same'),
    (dict(transform='center-crop', width=48, height=48), '--width: found 48'),
    (dict(transform='center-crop-wide', width=48, height=32), '--width: found 48'),
    (dict(transform='center-crop-tall', width=32, height=48), '--height: found 48'),
])
def test_sizes_of_which_no_dataset_comes(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Fit(**options).check_side()


@pytest.mark.parametrize('options', [
    {}, dict(width=64), dict(width=64, height=64), dict(transform='center-crop-wide', width=64, height=48),
    dict(transform='center-crop-tall', width=48, height=64),
])
def test_sizes_of_which_one_may_come(options):
    Fit(**options).check_side()
