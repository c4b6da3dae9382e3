"""PNG files that grow from the top while their picture is drawn, and go on after an interruption.

`picture.png.part` holds the rows so far and `picture.png.part.json` how many; they become `picture.png` once
all rows are there. Compression starts afresh with every band of rows, so that any end of a band is a place to
go on from, and the file is the same to the byte however often it was interrupted.
"""

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from stylegan2_mspe.files import atomic_write, sync_folder
from stylegan2_mspe.picture_file import COLOUR_TYPES, PNG_END, png_chunk, png_header

LEVEL = 3                       # of zlib's 9: a fiftieth of the time that drawing takes
LONGEST_CHUNK = 1 << 24         # bytes of compressed rows
ZLIB_BEGIN, ZLIB_END = b'\x78\x01', b'\x03\x00'     # a window of 32 KB; the empty last block
LEFT, UP = 1, 2                 # as PNG numbers what a row's bytes are differences from
RECIPE = b'Recipe\0'            # the text in a file that says what it shows


class GrowingPng:
    """The file under its way: `rows` of them are written. Made by `growing_png`."""

    def __init__(self, path: str, shape: tuple[int, int, int], recipe: dict, resume: bool):
        self.path, self.part, self.state = path, f'{path}.part', f'{path}.part.json'
        self.height, self.width, self.channels = shape
        self.header = _header(shape, recipe)
        self.rows, self.adler = 0, 1
        length = self._find_rows() if resume else 0
        self.file = open(self.part, 'r+b' if length else 'wb')
        if length:
            self.file.truncate(length)
            self.file.seek(length)
        else:
            _remove(self.state)
            self.file.write(self.header + png_chunk(b'IDAT', ZLIB_BEGIN))

    def add(self, band: np.ndarray) -> None:
        """Appends the next rows, uint8 [C, h, W]; they are on the disk when it returns.

        Bands must be cut at the same rows after an interruption for the file to be the same.
        """
        assert band.dtype == np.uint8 and band.shape[::2] == (self.channels, self.width)
        assert 0 < band.shape[1] <= self.height - self.rows
        rows = _filtered(band)
        packer = zlib.compressobj(LEVEL, wbits=-zlib.MAX_WBITS)
        packed = packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH)
        for start in range(0, len(packed), LONGEST_CHUNK):
            self.file.write(png_chunk(b'IDAT', packed[start:start + LONGEST_CHUNK]))
        self._sync()
        self.adler = zlib.adler32(rows, self.adler)
        self.rows += band.shape[1]
        with atomic_write(self.state, 'w') as file:
            json.dump(dict(rows=self.rows, bytes=self.file.tell(), adler32=self.adler), file)

    def finish(self) -> None:
        """Gives the file its name; all rows must be there."""
        assert self.rows == self.height
        self.file.write(png_chunk(b'IDAT', ZLIB_END + struct.pack('>I', self.adler)) + PNG_END)
        self._sync()
        self.file.close()
        os.replace(self.part, self.path)
        _remove(self.state)
        sync_folder(os.path.dirname(self.path) or '.')

    def _sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def _find_rows(self) -> int:
        """The length of the part file up to the end of its last finished band; 0 where there is none."""
        begun = _read_state(self.path)
        if begun is None:
            return 0
        with open(self.part, 'rb') as file:
            if file.read(len(self.header)) != self.header:
                raise ValueError(f'{self.part}: found {_difference(begun.recipe, self.header)}, expected the '
                                 'picture that is asked for; ask for that one, or remove the file')
        self.rows, self.adler = begun.rows, begun.adler32
        return begun.bytes


@contextlib.contextmanager
def growing_png(path: str | os.PathLike, shape: tuple[int, int, int], recipe: dict,
                resume: bool = False) -> Iterator[GrowingPng]:
    """Opens `path` for rows of a picture [H, W, C], C = 1, 3 or 4, that are given from the top.

    recipe: what the picture shows, plain values; it is written into the file, and with `resume` a part file
    of the same recipe is gone on with. The file appears under its name when the block has ended well and all
    rows are there; until then, whatever happens, the rows so far are kept. Raises ValueError where `resume`
    finds another picture begun, OSError with what to do where the disk is full.
    """
    path = os.fspath(path)
    png = GrowingPng(path, shape, recipe, resume)
    try:
        with png.file:
            yield png
            png.finish()
    except OSError as error:
        if error.errno and error.filename in (None, png.part, png.state):
            raise OSError(_full_disk(png, error.strerror)) from error
        raise
    finally:
        if not png.rows:
            _remove(png.part)


def _full_disk(png: GrowingPng, reason: str) -> str:
    if not png.rows:
        return f'{png.path}: {reason}'
    return (f'{png.path}: {reason} after {png.rows} of {png.height} rows, which are kept in {png.part}; '
            'expected room for the rest, then the same command with --continue goes on')


def unfinished_recipe(path: str | os.PathLike) -> dict | None:
    """The recipe of the picture begun in `path + '.part'`; None where no rows of one are there."""
    begun = _read_state(os.fspath(path))
    return None if begun is None else begun.recipe


def is_finished(path: str | os.PathLike, shape: tuple[int, int, int], recipe: dict) -> bool:
    """Whether the file at `path` is complete and of that recipe."""
    header = _header(shape, recipe)
    try:
        with open(path, 'rb') as file:
            same = file.read(len(header)) == header
            file.seek(-len(PNG_END), os.SEEK_END)
            return same and file.read() == PNG_END
    except OSError:
        return False


def finished_recipe(path: str | os.PathLike) -> dict | None:
    """The recipe in the file at `path`; None where there is no file, or none with a recipe."""
    try:
        return _read_recipe(os.fspath(path))
    except (FileNotFoundError, TypeError, ValueError, struct.error):
        return None


class _State(NamedTuple):
    """What is known of a picture begun."""
    recipe: dict
    rows: int
    bytes: int
    adler32: int


def _read_state(path: str) -> _State | None:
    """Of the part file and the one beside it; None where they do not tell of any rows."""
    try:
        with open(f'{path}.part.json', encoding='utf-8') as file:
            rows, length, adler = map(int, itemgetter('rows', 'bytes', 'adler32')(json.load(file)))
        recipe = _read_recipe(f'{path}.part')
        whole = 0 < length <= os.path.getsize(f'{path}.part') and rows > 0 <= adler < 1 << 32
        return _State(recipe, rows, length, adler) if whole else None
    except (FileNotFoundError, KeyError, TypeError, ValueError, struct.error):
        return None


def _header(shape: tuple[int, int, int], recipe: dict) -> bytes:
    assert shape[2] in COLOUR_TYPES
    text = json.dumps(recipe, sort_keys=True, separators=(',', ':'))
    return png_header(shape) + png_chunk(b'tEXt', RECIPE + text.encode('ascii'))


def _read_recipe(path: str) -> dict:
    """The recipe in the text after the header of a PNG file. Raises ValueError where it holds none."""
    with open(path, 'rb') as file:
        start = len(png_header((1, 1, 1)))
        file.seek(start)
        length, kind = struct.unpack('>I4s', file.read(8))
        text = file.read(min(length, 1 << 20)) if kind == b'tEXt' else b''
    return dict(json.loads(text.removeprefix(RECIPE)))


def _difference(found: dict, header: bytes) -> str:
    """In words, what of a recipe is not as a header has it."""
    text = header[header.index(RECIPE) + len(RECIPE):-4]
    wanted = json.loads(text)
    for name in wanted:
        if found.get(name) != wanted[name]:
            return f'a picture with {name} {found.get(name)} and not {wanted[name]}'
    return 'a picture of another size'


def _filtered(band: np.ndarray) -> np.ndarray:
    """Rows [h, 1 + W · C] as PNG stores them: every byte less the one above it, which packs well.

    The first row of a band is stored as differences from the left, for it has nothing above it in the band.
    """
    channels, height, width = band.shape
    rows = np.empty([height, 1 + width * channels], np.uint8)
    rows[:, 0] = UP
    rows[0, 0] = LEFT
    rows[:, 1:] = flat = band.transpose(1, 2, 0).reshape(height, -1)
    rows[1:, 1:] -= flat[:-1]
    rows[0, 1 + channels:] -= flat[0, :-channels]
    return rows


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
