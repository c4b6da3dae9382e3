"""Digits that no network has been trained on, as Color-MNIST has them."""

import dataclasses

import numpy as np

from stylegan2_mspe import digits, idx

TEST_FILES = ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte')


@dataclasses.dataclass(frozen=True)
class Digits:
    """Real digits as Color-MNIST has them, at the upper left."""
    pictures: np.ndarray                # uint8 [N, 64, 64, 3]
    opacity: np.ndarray                 # [N, 64, 64] in [0, 1]: where there is ink
    labels: np.ndarray                  # [N]
    source: str = 'built in'


def held_out_digits(data: str | None, count: int) -> Digits:
    """`count` of MNIST's test digits in the folder `data`, else of the built-in pen's.

    Raises ValueError or OSError where the folder does not hold them.
    """
    if data is None:
        return colour_digits(*demo_digits(10 * count), count)
    found = colour_digits(*idx.read_mnist(data, *TEST_FILES), count)
    return dataclasses.replace(found, source='MNIST test')


def colour_digits(greys: np.ndarray, labels: np.ndarray, count: int, seed: int = 0) -> Digits:
    """`count` of the grey digits uint8 [N, 28, 28], all classes alike often, in random hues."""
    random = np.random.RandomState(seed)
    chosen = digits.balanced_order(labels, -(-count // digits.NUM_CLASSES), random)[:count]
    hues = digits.random_hues(count, random)
    pictures = np.stack([digits.draw_digit(greys[index], hue) for index, hue in zip(chosen, hues)])
    white = np.stack([digits.draw_digit(greys[index], 0)[:, :, 0] for index in chosen])
    return Digits(pictures, white / 255, labels[chosen])


def demo_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits of the built-in pen, where there is no MNIST: grey uint8 [count, 28, 28] and classes."""
    random, labels = np.random.RandomState(5), np.arange(count) % digits.NUM_CLASSES
    return np.stack([digits.handwritten_digit(label, random) for label in labels]), labels
