"""What dataset_tool reads: every source is a count and a generator of items (name, picture, label).

A new source is one small function that returns a `Source`, and one line in `open_source`.
"""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from stylegan2_mspe import digits, idx
from stylegan2_mspe.archive import open_archive
from stylegan2_mspe.dataset import LABELS_FILE, labels_of_json
from stylegan2_mspe.picture import is_picture_name

COLOR_MNIST = 'color-mnist:'
READABLE = ('a folder of pictures, a .zip of them, train-images-idx3-ubyte.gz, '
            'or color-mnist:<folder of the MNIST files>')


class Item(NamedTuple):
    name: str                  # for errors
    picture: bytes | np.ndarray  # a picture file, or uint8 [H, W, C]
    label: int | list[float] | None


class Source(NamedTuple):
    count: int
    items: Callable[[], Iterator[Item]]


def open_source(source: str, seed: int = 0) -> Source:
    """The source a user names; `seed` is for the sources that draw lots.

    Raises ValueError for what is missing, empty, damaged or of a kind that is not read.
    """
    if source.startswith(COLOR_MNIST):
        return color_mnist(source[len(COLOR_MNIST):], seed)
    base = os.path.basename(os.path.normpath(source))
    if base.endswith('_lmdb') or base == 'cifar-10-python.tar.gz':
        kind = 'CIFAR-10' if base.endswith('.gz') else 'an LMDB folder'
        raise ValueError(f'--source {source}: found {kind}, which is not built yet, expected {READABLE}')
    if not os.path.exists(source):
        raise ValueError(f'--source {source}: found nothing there, expected {READABLE}')
    if 'images-idx3-ubyte' in base:
        return mnist(source)
    if os.path.isdir(source) or base.lower().endswith('.zip'):
        return picture_files(source)
    raise ValueError(f'--source {source}: found a file of an unknown kind, expected {READABLE}')


def picture_files(path: str) -> Source:
    """The pictures of a folder (recursively) or zip, sorted by path, labelled by its dataset.json if any."""
    archive = open_archive(path)
    names = [name for name in archive.names if is_picture_name(name)]
    if not names:
        raise ValueError(f'--source {path}: found no pictures among {len(archive.names)} files, '
                         'expected at least one')
    labels = {}
    if LABELS_FILE in archive.names:
        labels = labels_of_json(archive.read(LABELS_FILE), f'{LABELS_FILE} in {path}') or {}

    def items() -> Iterator[Item]:
        for name in names:
            yield Item(f'{name} in {path}', archive.read(name), labels.get(name))

    return Source(len(names), items)


def mnist(images_path: str) -> Source:
    """The digits of an IDX file in grey, padded to 32x32, with the classes of the label file beside it."""
    base = os.path.basename(images_path)
    labels_path = os.path.join(os.path.dirname(images_path), base.replace('images-idx3', 'labels-idx1'))
    if not os.path.exists(labels_path):
        raise ValueError(f'{labels_path}: found nothing there, expected the labels of {base}')
    pictures, classes = idx.read_pair(images_path, labels_path)

    def items() -> Iterator[Item]:
        for number, (picture, label) in enumerate(zip(pictures, classes)):
            padded = np.pad(picture, digits.MARGIN)[:, :, np.newaxis]
            yield Item(f'digit {number} of {images_path}', padded, int(label))

    return Source(len(pictures), items)


def color_mnist(folder: str, seed: int, per_class: int = digits.PER_CLASS) -> Source:
    """The paper's Color-MNIST (Sec. C.1) from the MNIST training digits in `folder`.

    Ten classes, `per_class` digits each, shuffled, in random hues; `seed` decides choice, order and hues.
    """
    pictures, classes = idx.read_mnist(folder)
    if pictures.shape[1:] != (digits.DIGIT_SIZE, digits.DIGIT_SIZE):
        raise ValueError(f'{folder}: found digits of {pictures.shape[1]}x{pictures.shape[2]}, expected 28x28')
    random = np.random.RandomState(seed)
    try:
        order = digits.balanced_order(classes, per_class, random)
    except ValueError as error:
        raise ValueError(f'{folder}: {error}') from error
    hues = digits.random_hues(len(order), random)

    def items() -> Iterator[Item]:
        for index, hue in zip(order, hues):
            picture = digits.draw_digit(pictures[index], hue)
            yield Item(f'digit {index} of {folder}', picture, int(classes[index]))

    return Source(len(order), items)
