"""Picture files to uint8 arrays and back."""

import importlib
import io
import struct
import zlib

import numpy as np
from PIL import Image

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.gif', '.tif', '.tiff', '.ppm', '.pgm')
# Of what Pillow knows: a file may be of another kind than its name says, and some kinds start programs (EPS).
# Only these are loaded, as all of them take a tenth of a second.
for kind in ('Png', 'Jpeg', 'WebP', 'Bmp', 'Gif', 'Tiff', 'Ppm'):
    importlib.import_module(f'PIL.{kind}ImagePlugin')
FORMATS = tuple(kind for kind in ('PNG', 'JPEG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM') if kind in Image.OPEN)
MAX_PIXELS = 1 << 28
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2    # Pillow warns above it, and refuses above twice as many
MODES = {1: 'L', 3: 'RGB', 4: 'RGBA'}
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}     # as PNG numbers them
CHANNEL_NAMES = {1: 'grey', 3: 'RGB', 4: 'RGBA'}


def is_picture_name(name: str) -> bool:
    """True for the names of picture files; hidden ones (a Mac zips `._x.png` beside `x.png`) are none."""
    base = name.rsplit('/', 1)[-1]
    return not base.startswith('.') and base.lower().endswith(EXTENSIONS)


def decode_picture(data: bytes, name: str) -> np.ndarray:
    """The picture in `data` as uint8 [H, W, C], C = 1 (grey), 3 (RGB) or 4 (RGBA); `name` is for errors.

    Raises ValueError for what is no picture, is cut short, has more than eight bits a channel or more than
    MAX_PIXELS, which is seen in its header, before anything is unpacked.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        picture.load()
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(f'{name}: found a picture of more than {MAX_PIXELS} pixels, '
                         'expected at most that many') from error
    except Exception as error:  # Pillow's plugins raise whatever their parsing stumbles over
        reason = 'unknown format' if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise ValueError(f'{name}: found {len(data)} bytes that do not decode ({reason}), '
                         'expected a complete picture file') from error
    pixels = np.asarray(_plain(picture, name))
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def _plain(picture: Image.Image, name: str) -> Image.Image:
    mode = picture.mode
    if mode in ('L', 'RGB', 'RGBA'):
        return picture
    if mode.startswith(('I', 'F')):
        raise ValueError(f'{name}: found a picture of mode {mode}, '
                         'expected 8 bits a channel (L, RGB or RGBA)')
    transparent = mode.endswith(('A', 'a')) or 'transparency' in picture.info
    return picture.convert('L' if mode == '1' else 'RGBA' if transparent else 'RGB')


def encode_png(pixels: np.ndarray) -> bytes:
    """An uncompressed PNG file of uint8 [H, W, C], C = 1, 3 or 4: large, but nothing decodes faster.

    Pillow, told not to compress, still tries five filters on every row: twenty times slower to write than
    these unfiltered rows, and six times slower to read.
    """
    height, width, channels = pixels.shape
    rows = np.zeros([height, 1 + width * channels], np.uint8)   # a filter, 0 for none, begins every row
    rows[:, 1:] = pixels.reshape(height, -1)
    parts = [png_header(pixels.shape), png_chunk(b'IDAT', zlib.compress(rows, level=0)), PNG_END]
    return b''.join(parts)


def png_header(shape: tuple[int, int, int]) -> bytes:
    """How a PNG file of eight bits a channel and of that [H, W, C] begins."""
    height, width, channels = shape
    size = struct.pack('>IIBBBBB', width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', size)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One piece of a PNG file: its length, its kind of four letters, its data, and a check sum."""
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(data, zlib.crc32(kind)))


PNG_END = png_chunk(b'IEND', b'')


def describe(shape: tuple[int, ...]) -> str:
    """A picture's [H, W, C] in words: '64x32 RGB' (height first)."""
    height, width, channels = shape
    return f'{height}x{width} {CHANNEL_NAMES.get(channels, f"{channels}-channel")}'
