"""Values worked out by hand for the drawn patch, the balance of classes, and the demo's repeatability."""

import numpy as np
import pytest
from PIL import ImageFont

from stylegan2_mspe import digits


def test_patch_position_and_colour():
    digit = np.zeros([28, 28], np.uint8)
    digit[0, 0], digit[27, 5], digit[13, 27] = 200, 255, 15
    picture = digits.draw_digit(digit, 0.1)  # hue 36 degrees: red 1, green 0.6, blue 0
    expected = np.zeros([64, 64, 3], np.uint8)
    expected[2, 2], expected[29, 7], expected[15, 29] = [200, 120, 0], [255, 153, 0], [15, 9, 0]
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize('hue, colour', [(0, [255, 0, 0]), (1 / 6, [255, 255, 0]), (1 / 3, [0, 255, 0]),
                                         (0.5, [0, 255, 255]), (2 / 3, [0, 0, 255])])
def test_hues_have_full_value_and_saturation(hue, colour):
    picture = digits.draw_digit(np.full([28, 28], 255, np.uint8), hue)
    assert (picture[2:30, 2:30] == colour).all()
    assert picture.sum(dtype=int) == 28 * 28 * sum(colour)  # black elsewhere


def test_small_digit_is_centred_in_the_patch():
    picture = digits.draw_digit(np.full([20, 10], 9, np.uint8), 0)
    rows, cols = np.nonzero(picture[:, :, 0])
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (6, 25, 11, 20)


def skewed_classes() -> np.ndarray:
    return np.repeat(np.arange(10), [6742, 5923, 6000, 100, 1, 5421, 9000, 6265, 5851, 5949])


def test_every_class_6000_times():
    classes = skewed_classes()
    order = digits.balanced_order(classes, 6000, np.random.RandomState(0))
    assert order.shape == (60000,)
    assert (np.bincount(classes[order]) == 6000).all()
    times = np.bincount(order, minlength=len(classes))
    for label, members in enumerate(np.bincount(classes)):
        used = times[classes == label]
        if members >= 6000:
            assert used.max() == 1  # no repeats
        else:
            assert used.max() - used.min() <= 1 and used.min() >= 1  # all used, about equally
    assert len(np.unique(classes[order[:200]])) == 10  # shuffled


def test_order_depends_on_the_seed_alone():
    a, b, c = (digits.balanced_order(skewed_classes(), 50, np.random.RandomState(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_missing_class_is_named():
    with pytest.raises(ValueError, match='no digit of class 7 among 9 labels, expected all ten'):
        digits.balanced_order(np.array([0, 1, 2, 3, 4, 5, 6, 8, 9]), 5, np.random.RandomState(0))


def test_demo_is_repeatable_in_any_order():
    forth = [digits.demo_picture(index) for index in range(20)]
    back = [digits.demo_picture(index) for index in reversed(range(20))]
    np.testing.assert_array_equal(forth, back[::-1])
    assert len({picture.tobytes() for picture in forth}) == 20
    assert (digits.demo_picture(3, seed=1) != forth[3]).any()


def test_demo_pictures_are_coloured_digits_at_the_upper_left():
    for index in range(40):
        picture = digits.demo_picture(index)
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
        brightness = picture.max(2)
        assert not picture[30:].any() and not picture[:, 30:].any() and not picture[:2].any()
        assert brightness.max() == 255 and 25 < (brightness > 127).sum() < 350  # neither specks nor a blot
        assert picture.min(2).max() == 0  # full saturation
        centre = (np.argwhere(brightness > 127)).mean(0)
        assert abs(centre - 15.5).max() < 5


def test_demo_classes_are_uniform_and_differ():
    assert [digits.demo_class(index) for index in range(12)] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    means = [np.mean([digits.demo_picture(10 * n + label).max(2)[:32, :32] for n in range(100)], 0)
             for label in range(10)]
    for a in range(10):
        for b in range(a):
            assert np.corrcoef(means[a].ravel(), means[b].ravel())[0, 1] < 0.97


def test_demo_without_a_scalable_font(monkeypatch):
    if not hasattr(ImageFont, 'load_default_imagefont'):
        pytest.skip('this Pillow cannot load its bitmap font where it has a scalable one')

    def load_default(size=None):
        if size is not None:
            raise ImportError('The _imagingft C module is not installed')
        return ImageFont.load_default_imagefont()

    digits._glyph.cache_clear()
    monkeypatch.setattr(ImageFont, 'load_default', load_default)
    try:
        inks = [(digits.demo_picture(index).max(2) > 127).sum() for index in range(10)]
    finally:
        digits._glyph.cache_clear()
    assert all(25 < ink < 400 for ink in inks)
