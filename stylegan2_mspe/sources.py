"""What dataset_tool reads: every source is a count and a generator of items (name, picture, label).

A new source is one small function that returns a `Source`, and one line in `open_source`.
"""

import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from stylegan2_mspe import cifar, digits, idx
from stylegan2_mspe.archive import open_archive
from stylegan2_mspe.dataset import LABELS_FILE, labels_of_json
from stylegan2_mspe.picture_file import is_picture_name

COLOR_MNIST = 'color-mnist:'
READABLE = (f'a folder of pictures, a .zip of them, a *_lmdb folder, {cifar.ARCHIVE}, '
            'train-images-idx3-ubyte.gz, or color-mnist:<folder of the MNIST files>')


class Item(NamedTuple):
    name: str                   # for errors
    picture: bytes | np.ndarray | ValueError    # a picture file, uint8 [H, W, C], or why there is neither
    label: int | list[float] | None


class Source(NamedTuple):
    count: int
    items: Callable[[], Iterator[Item]]
    classes: tuple[str, ...] = ()   # their names, where the source names them


def open_source(source: str, seed: int = 0, subfolders_as_labels: bool = False) -> Source:
    """The source a user names; `seed` is for the sources that draw lots.

    With `subfolders_as_labels` every folder of a folder or zip is a class, in the order of their names.
    Raises ValueError for what is missing, empty, damaged or of a kind that is not read.
    """
    base = os.path.basename(os.path.normpath(source))
    is_files = base.lower().endswith('.zip') or os.path.isdir(source) and not base.endswith('_lmdb')
    if subfolders_as_labels and not is_files:
        raise ValueError(f'--subfolders-as-labels: found --source {source}, '
                         'expected a folder or .zip with a folder for every class')
    if source.startswith(COLOR_MNIST):
        return color_mnist(source[len(COLOR_MNIST):], seed)
    if not os.path.exists(source):
        raise ValueError(f'--source {source}: found nothing there, expected {READABLE}')
    if is_files:
        return picture_files(source, subfolders_as_labels)
    if base.endswith('_lmdb'):
        return lmdb_pictures(source)
    if base == cifar.ARCHIVE:
        return cifar10(source)
    if 'images-idx3-ubyte' in base:
        return mnist(source)
    raise ValueError(f'--source {source}: found a file of an unknown kind, expected {READABLE}')


def picture_files(path: str, subfolders_as_labels: bool = False) -> Source:
    """The pictures of a folder (recursively) or zip, sorted by path.

    They are labelled by its dataset.json if any, or by the first folder of their path.
    """
    archive = open_archive(path)
    names = [name for name in archive.names if is_picture_name(name)]
    if not names:
        raise ValueError(f'--source {path}: found no pictures among {len(archive.names)} files, '
                         'expected at least one')
    labels, classes = {}, ()
    if subfolders_as_labels:
        labels, classes = _folder_labels(names, path)
    elif LABELS_FILE in archive.names:
        labels = labels_of_json(archive.read(LABELS_FILE), f'{LABELS_FILE} in {path}', archive.names) or {}

    def items() -> Iterator[Item]:
        for name in names:
            yield Item(f'{name} in {path}', _read(archive, name), labels.get(name))

    return Source(len(names), items, classes)


def _folder_labels(names: list[str], where: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """Path → class, and the names of the classes: the folders, with numbers in them sorted as numbers."""
    loose = next((name for name in names if '/' not in name), None)
    if loose is not None:
        raise ValueError(f'--subfolders-as-labels: found {loose} in no folder of {where}, '
                         'expected every picture in the folder of its class')
    paths = [name.split('/') for name in names]
    while len({path[0] for path in paths}) == 1 and all(len(path) > 2 for path in paths):
        paths = [path[1:] for path in paths]    # all in one folder, as zips often are
    folders = {name: path[0] for name, path in zip(names, paths)}
    classes = sorted(set(folders.values()), key=_natural)
    numbers = {folder: number for number, folder in enumerate(classes)}
    return {name: numbers[folder] for name, folder in folders.items()}, tuple(classes)


def _natural(name: str) -> list:
    """A key that sorts 'class2' before 'class10'."""
    parts = re.split(r'([0-9]+)', name)
    return [(int(part) if index % 2 else 0, part) for index, part in enumerate(parts)]


def _read(archive, name: str) -> bytes | ValueError:
    """A damaged file is the item's business: the tool may skip it."""
    try:
        return archive.read(name)
    except ValueError as error:
        return error


def lmdb_pictures(path: str) -> Source:
    """The picture files that are the values of an LMDB folder, in the order of their keys (LSUN)."""
    try:
        import lmdb
    except ImportError as error:
        raise ValueError(f'--source {path}: found an LMDB folder, expected the package that reads it: '
                         'pip install lmdb') from error
    if not os.path.isfile(os.path.join(path, 'data.mdb')):
        raise ValueError(f'--source {path}: found no data.mdb in it, expected an LMDB folder')
    try:
        database = lmdb.open(path, readonly=True, lock=False)
        count = database.stat()['entries']
    except lmdb.Error as error:
        raise ValueError(f'--source {path}: found a damaged database ({error}), expected LMDB') from error
    if not count:
        raise ValueError(f'--source {path}: found an empty database, expected at least one picture')

    def items() -> Iterator[Item]:
        try:
            with database.begin() as transaction:
                for key, value in transaction.cursor():
                    yield Item(f'{key.decode("utf-8", "backslashreplace")} in {path}', bytes(value), None)
        except lmdb.Error as error:
            raise ValueError(f'{path}: found a damaged database ({error}), expected LMDB') from error

    return Source(count, items)


def cifar10(path: str) -> Source:
    """The 50,000 training pictures of CIFAR-10, 32x32 RGB, with their classes."""
    pictures, classes = cifar.read_cifar10(path)

    def items() -> Iterator[Item]:
        for number, (picture, label) in enumerate(zip(pictures, classes)):
            yield Item(f'picture {number} of {path}', picture, int(label))

    return Source(len(pictures), items)


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
