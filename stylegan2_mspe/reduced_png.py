"""A picture that `growing_png` has written, made smaller without ever being held whole."""

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from stylegan2_mspe.growing_png import LEFT, UP
from stylegan2_mspe.picture_file import COLOUR_TYPES, MODES

BLOCK = 1 << 20                 # bytes of rows that are held at a time, or as many as one row is made of


def reduced(path: str | os.PathLike, divisor: int,
            progress: Callable[[Iterable, int], Iterable] = lambda blocks, total: blocks) -> Image.Image:
    """The picture in the file at `path`, as `Image.reduce` makes it `divisor` times smaller along both sides.

    progress passes through blocks of rows, given how many there are. Raises ValueError where the rows of the
    file are damaged, OSError.
    """
    with open(path, 'rb') as file:
        bodies = _bodies(file)
        width, height, _, colours = struct.unpack('>IIBB', next(bodies)[:10])
        channels = next(count for count, number in COLOUR_TYPES.items() if number == colours)
        step = divisor * max(1, BLOCK // (divisor * width * channels))
        small = Image.new(MODES[channels], (-(-width // divisor), -(-height // divisor)))
        blocks = _blocks(bodies, height, width, channels, step)
        try:
            for top, block in enumerate(progress(blocks, -(-height // step))):
                strip = Image.fromarray(block[:, :, 0] if channels == 1 else block).reduce(divisor)
                small.paste(strip, (0, top * step // divisor))
        except zlib.error as error:
            raise ValueError(f'{path}: found rows that are damaged ({error}), expected a complete picture; '
                             'without the file it is drawn anew') from error
    return small


def _blocks(bodies: Iterator[bytes], height: int, width: int, channels: int,
            step: int) -> Iterator[np.ndarray]:
    """The rows, `step` at a time, uint8 [h, W, C]. Raises zlib.error where they are damaged."""
    rows, stride = _unpacked(bodies), 1 + width * channels
    above = np.zeros([width * channels], np.uint8)
    for top in range(0, height, step):
        count = min(step, height - top)
        data = rows(count * stride)
        if len(data) < count * stride:
            raise zlib.error('they end early')
        block = np.frombuffer(data, np.uint8).reshape(count, stride)
        kinds, block = block[:, 0], block[:, 1:].copy()
        for kind, row in zip(kinds, block):
            if kind == LEFT:
                pixels = row.reshape(width, channels)
                np.cumsum(pixels, axis=0, dtype=np.uint8, out=pixels)
            elif kind == UP:
                row += above
            else:
                raise zlib.error(f'a row of kind {kind}')
            above = row
        yield block.reshape(count, width, channels)
    if rows(1):                 # what follows them is the sum that tells whether all are right
        raise zlib.error('there are more than its header says')


def _unpacked(bodies: Iterator[bytes]) -> Callable[[int], bytes]:
    """A function that gives the next so many bytes of what was packed into the bodies; fewer at the end."""
    unpacker, left = zlib.decompressobj(), b''

    def take(count: int) -> bytes:
        nonlocal left
        parts = []
        while count and not unpacker.eof:
            left = left or next(bodies, b'')
            if not left:
                break
            parts.append(unpacker.decompress(left, count))
            left, count = unpacker.unconsumed_tail, count - len(parts[-1])
        return b''.join(parts)
    return take


def _bodies(file: BinaryIO) -> Iterator[bytes]:
    """Of a PNG file: what is in its header, then in each chunk of rows."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack('>I4s', head)
        body = file.read(length)
        file.seek(4, os.SEEK_CUR)               # a sum that the unpacker has of its own
        if kind in (b'IHDR', b'IDAT'):
            yield body
