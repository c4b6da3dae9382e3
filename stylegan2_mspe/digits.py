"""Digits in the upper-left corner of a black picture: the paper's Color-MNIST (Sec. C.1), and the demo's.

Both share `draw_digit`. The demo's digits are Pillow's bundled font as a pen would write it: each glyph is a
signed distance map, which is slanted, turned, scaled, warped elastically and inked with an uneven pen.
"""

import colorsys
import functools

import numpy as np
import scipy         # which loads ndimage when it is used: a fifth of a second that drawing does not need
from PIL import Image, ImageDraw, ImageFont

RESOLUTION = 64      # side of the picture
DIGIT_SIZE = 28      # side of a digit
MARGIN = 2           # pads the digit to the 32x32 patch
NUM_CLASSES = 10
PER_CLASS = 6000     # 60,000 pictures in all
OVERSAMPLING = 4     # of the distance maps
GLYPH_HEIGHT = 19.5  # of a digit in the 28x28 box, as MNIST normalises them to about 20
CONTROLS = 4         # of the elastic warp, along each side


def draw_digit(digit: np.ndarray, hue: float) -> np.ndarray:
    """The picture of a grey digit, uint8 [64, 64, 3], black but for the 32x32 patch at the upper-left corner.

    `digit` is uint8 [28, 28] (up to [32, 32]), centred in the patch; its brightness scales the saturated
    colour of full value whose hue is `hue` in [0, 1) (0 red, 1/3 green, 2/3 blue).
    """
    height, width = digit.shape
    side = DIGIT_SIZE + 2 * MARGIN
    assert height <= side and width <= side
    top, left = (side - height) // 2, (side - width) // 2
    colour = np.array(colorsys.hsv_to_rgb(hue, 1, 1))
    picture = np.zeros([RESOLUTION, RESOLUTION, 3], np.uint8)
    picture[top : top + height, left : left + width] = np.rint(digit[:, :, np.newaxis] * colour)
    return picture


def balanced_order(classes: np.ndarray, per_class: int, random: np.random.RandomState) -> np.ndarray:
    """Indices into `classes` [N], shuffled, each of the ten classes `per_class` times.

    Where a class has more members, none is taken twice; where it has fewer, each is taken equally often but
    for one. Raises ValueError if a class has no member.
    """
    chosen = []
    for label in range(NUM_CLASSES):
        members = np.flatnonzero(classes == label)
        if not len(members):
            raise ValueError(f'found no digit of class {label} among {len(classes)} labels, '
                             'expected all ten classes')
        rounds = -(-per_class // len(members))
        chosen.append(np.concatenate([random.permutation(members) for _ in range(rounds)])[:per_class])
    return random.permutation(np.concatenate(chosen))


def random_hues(count: int, random: np.random.RandomState) -> np.ndarray:
    """Hues float64 [count], uniform in [0, 1)."""
    return random.random_sample(count)


# ----- the demo ---------------------------------------------------------------------------------------------


def demo_class(index: int) -> int:
    """The class of demo picture `index`: all ten in turn, so that every ten neighbours hold each once."""
    return index % NUM_CLASSES


def demo_picture(index: int, seed: int = 0) -> np.ndarray:
    """Demo picture `index`, uint8 [64, 64, 3]: the same for the same (seed, index), always."""
    bits = np.random.PCG64(np.random.SeedSequence([seed, index]))
    random = np.random.RandomState(bits)  # RandomState's streams are the same in all numpy versions
    hue = random_hues(1, random)[0]
    return draw_digit(handwritten_digit(demo_class(index), random), hue)


def handwritten_digit(label: int, random: np.random.RandomState) -> np.ndarray:
    """A grey digit uint8 [28, 28] of class `label`, warped and inked at random."""
    text = 'l' if label == 1 and random.random_sample() < 0.5 else str(label)  # most write a 1 as a bar
    distance, centre = _glyph(text)
    y, x, pen = _smooth_fields(random) * np.array([1.1, 1.1, 0.25]).reshape(3, 1, 1)
    matrix = _random_affine(random)
    grid = np.arange(DIGIT_SIZE) - (DIGIT_SIZE - 1) / 2
    dy, dx = y + grid[:, np.newaxis], x + grid[np.newaxis, :]
    places = np.stack([matrix[0, 0] * dy + matrix[0, 1] * dx, matrix[1, 0] * dy + matrix[1, 1] * dx])
    places = places * OVERSAMPLING + centre[:, np.newaxis, np.newaxis]
    inside = scipy.ndimage.map_coordinates(distance, places, order=1, mode='nearest')
    inside = inside + pen + random.uniform(-0.45, 0.75)  # the pen: widens or thins every stroke
    softness = random.uniform(0.9, 1.5)                  # pixels from black to full
    return np.rint(255 * np.clip(0.5 + inside / softness, 0, 1)).astype(np.uint8)


def _random_affine(random: np.random.RandomState) -> np.ndarray:
    """[2, 2], from picture to glyph, both (y, x) about the centre: turn, then slant, then scale each way."""
    angle = random.normal(0, 0.10)
    slant = random.normal(0.12, 0.18)
    height, width = np.exp(random.normal([0.0, 0.04], [0.06, 0.14]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.diag([1 / height, 1 / width]) @ np.array([[1, 0], [slant, 1]]) @ turn


def _smooth_fields(random: np.random.RandomState) -> np.ndarray:
    """Three random fields [3, 28, 28] that vary over about nine pixels, with values around ±1."""
    spread = _spread_matrix()
    return spread @ random.standard_normal([3, CONTROLS, CONTROLS]) @ spread.T


@functools.cache
def _spread_matrix() -> np.ndarray:
    """[28, CONTROLS]: cubic interpolation from the control points to the pixels, as a matrix."""
    zoom = [DIGIT_SIZE / CONTROLS, 1]
    return scipy.ndimage.zoom(np.eye(CONTROLS), zoom, order=3, mode='nearest', grid_mode=True)


@functools.cache
def _glyph(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The signed distance to the outline of a character in pixels of the 28x28 box (float32 [H, W],
    oversampled, positive inside), and its centre of mass (y, x) in samples."""
    shape = _glyph_shape(text)
    inside = scipy.ndimage.distance_transform_edt(shape)
    outside = scipy.ndimage.distance_transform_edt(~shape)
    distance = (np.maximum(inside - 0.5, 0) - np.maximum(outside - 0.5, 0)) / OVERSAMPLING
    return distance.astype(np.float32), np.array(scipy.ndimage.center_of_mass(shape))


def _glyph_shape(text: str) -> np.ndarray:
    """The ink of a character as bool [H, W], GLYPH_HEIGHT pixels high, oversampled, with a border around."""
    try:
        font = ImageFont.load_default(size=400)
    except (ImportError, TypeError):  # built without FreeType, or older than scalable default fonts
        font = ImageFont.load_default()
    left, top, right, bottom = font.getbbox(text)
    ink = Image.new('L', [int(right), int(bottom)])
    ImageDraw.Draw(ink).text((0, 0), text, font=font, fill=255)
    ink = ink.crop(ink.getbbox())
    height = round(GLYPH_HEIGHT * OVERSAMPLING)
    width = max(round(ink.width * height / ink.height), 1)
    ink = np.asarray(ink.resize([width, height], Image.BICUBIC))
    return np.pad(ink > 127, DIGIT_SIZE * OVERSAMPLING // 2)
