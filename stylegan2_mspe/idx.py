"""Reads IDX files, the format MNIST is distributed in, plain or gzipped."""

import gzip
import os
import zlib

import numpy as np

IMAGES, LABELS = 3, 1  # dimensions of the two kinds of file


def read_idx(path: str, dimensions: int) -> np.ndarray:
    """The uint8 array in the IDX file at `path`: [N, H, W] for IMAGES, [N] for LABELS.

    The header is big-endian: 0, 0, element type (8 = uint8), number of dimensions, then each size as uint32.
    Raises ValueError where magic, sizes and length do not agree.
    """
    data = _read(path)
    magic = bytes([0, 0, 8, dimensions])
    if data[:4] != magic:
        raise ValueError(f'{path}: found a file that starts with {data[:4].hex() or "nothing"}, '
                         f'expected {magic.hex()} (IDX, bytes, {dimensions} dimensions)')
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise ValueError(f'{path}: found {len(data)} bytes, expected an IDX header of {start}')
    shape = tuple(int(size) for size in np.frombuffer(data, '>u4', dimensions, 4))
    expected = start + int(np.prod(shape, dtype=object))
    if len(data) != expected:
        sizes = 'x'.join(map(str, shape))
        raise ValueError(f'{path}: found {len(data)} bytes, '
                         f'expected {expected} for the {sizes} its header announces')
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _read(path: str) -> bytes:
    with open(path, 'rb') as file:
        data = file.read()
    if data[:2] != b'\x1f\x8b':
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f'{path}: found a damaged gzip file ({error}), expected a complete one') from error


def read_mnist(folder: str, images: str = 'train-images-idx3-ubyte',
               labels: str = 'train-labels-idx1-ubyte') -> tuple[np.ndarray, np.ndarray]:
    """Digits uint8 [N, H, W] and classes uint8 [N] of a folder with a pair of IDX files, plain or .gz."""
    images_path, labels_path = (find_idx(folder, name) for name in (images, labels))
    return read_pair(images_path, labels_path)


def read_pair(images_path: str, labels_path: str) -> tuple[np.ndarray, np.ndarray]:
    """Digits uint8 [N, H, W] and classes uint8 [N]; ValueError unless equally many, at least one."""
    digits, classes = read_idx(images_path, IMAGES), read_idx(labels_path, LABELS)
    if len(digits) != len(classes) or not len(digits):
        raise ValueError(f'{labels_path}: found {len(classes)} labels, '
                         f'expected one for each of the {len(digits)} images in {images_path}')
    return digits, classes


def find_idx(folder: str, name: str) -> str:
    """The path of IDX file `name` in `folder`, with or without .gz. Raises ValueError if there is neither."""
    for ending in ('.gz', ''):
        path = os.path.join(folder, name + ending)
        if os.path.isfile(path):
            return path
    found = 'no such folder' if not os.path.isdir(folder) else 'no such file'
    raise ValueError(f'{folder}: found {found} as {name}.gz, expected a folder of MNIST IDX files')
