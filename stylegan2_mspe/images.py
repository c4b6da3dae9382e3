"""Pictures: from network output to 8-bit arrays, PNG files and labelled grids.

A picture is an array or tensor [C, H, W] with C = 1 (grey), 3 (RGB) or 4 (RGBA); a batch is [N, C, H, W].
Either is uint8 already, or floating point in a dynamic range `drange`, (-1, 1) unless said.
"""

import math
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stylegan2_mspe.files import atomic_write
from stylegan2_mspe.picture_file import MODES

INK, PAPER = (40, 40, 40), (255, 255, 255)
READABLE = 128               # a picture in a labelled grid is enlarged by a whole number to about this height
COMPRESSION = 4              # of zlib's 9: a third of the time of 6, which is Pillow's, for 3 % larger files
MAX_GRID_PIXELS = 1 << 27    # above it the pictures of a labelled grid are reduced by a whole number


def to_uint8(images, drange: tuple[float, float] = (-1, 1)) -> np.ndarray:
    """Maps `drange` to 0…255, rounding half up and clipping; uint8 in is uint8 out, unchanged. NaN becomes 0.

    Any shape; arrays or tensors (on any device). For (-1, 1) this is StyleGAN2's floor(x · 127.5 + 128).
    """
    if hasattr(images, 'detach'):
        images = images.detach()
        images = (images if images.dtype.itemsize in (1, 8) else images.float()).cpu().numpy()
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    precise = np.float64 if images.dtype.itemsize == 8 else np.float32
    scale = 255 / (drange[1] - drange[0])
    levels = np.floor(images.astype(precise) * precise(scale) + precise(0.5 - drange[0] * scale))
    return np.nan_to_num(levels, nan=0.0).clip(0, 255).astype(np.uint8)


def to_pillow(image, drange: tuple[float, float] = (-1, 1)) -> Image.Image:
    """Turns one picture [C, H, W] into a Pillow image; a Pillow image passes through."""
    if isinstance(image, Image.Image):
        return image
    pixels = to_uint8(image, drange)
    if pixels.ndim != 3 or pixels.shape[0] not in MODES or 0 in pixels.shape:
        raise ValueError(f'a picture is [C, H, W] with 1, 3 or 4 channels, not {list(pixels.shape)}')
    pixels = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels))


def save_png(image, path: str | os.PathLike, drange: tuple[float, float] = (-1, 1)) -> None:
    """Writes one picture [C, H, W] (or a Pillow image) as PNG of mode L, RGB or RGBA.

    The file appears when it is complete. Raises ValueError for another shape, OSError where it can't be
    written.
    """
    picture = to_pillow(image, drange)
    with atomic_write(path) as file:
        picture.save(file, format='png', compress_level=COMPRESSION)


def image_grid(images, grid_size: tuple[int, int], drange: tuple[float, float] = (-1, 1)) -> np.ndarray:
    """Lays a batch [N, C, H, W] out row by row, without gaps, as one uint8 picture [C, rows·H, cols·W].

    `grid_size` is (cols, rows), StyleGAN2's order. Fewer than cols·rows pictures leave black places at the
    end; more raise ValueError.
    """
    pixels = to_uint8(images, drange)
    columns, rows = grid_size
    if pixels.ndim != 4 or len(pixels) > columns * rows:
        raise ValueError(f'a grid of {columns} x {rows} takes up to {columns * rows} pictures [N, C, H, W], '
                         f'not {list(pixels.shape)}')
    count, channels, height, width = pixels.shape
    blank = np.zeros([columns * rows - count, channels, height, width], dtype=np.uint8)
    cells = np.concatenate([pixels, blank]).reshape(rows, columns, channels, height, width)
    return cells.transpose(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def save_image_grid(images, path: str | os.PathLike, grid_size: tuple[int, int],
                    drange: tuple[float, float] = (-1, 1)) -> None:
    """Writes `image_grid` as PNG, atomically (reals.png and fakes*.png of a training run)."""
    save_png(image_grid(images, grid_size, drange), path)


def labelled_grid(rows: Sequence[Sequence], row_labels: Sequence[str], col_labels: Sequence[str],
                  title: str = '') -> Image.Image:
    """Arranges pictures [C, H, W] in a table on white paper, a label left of each row and above each column.

    Heights may differ between rows and widths between columns. All pictures are enlarged by the same whole
    number (nearest neighbour, so that pixels stay pixels) until small ones can be read, or reduced where the
    whole would be larger than 128 megapixels. Transparent pictures lie on the paper. Raises ValueError where
    the counts differ.
    """
    if len(rows) != len(row_labels) or any(len(row) != len(col_labels) for row in rows):
        raise ValueError(f'{len(row_labels)} row and {len(col_labels)} column labels do not fit a table of '
                         f'{[len(row) for row in rows]} pictures')
    table = _resize_all([[to_pillow(image) for image in row] for row in rows])
    font = _font_for(table)
    widths = [max([_text_size(label, font)[0]] + [row[i].width for row in table])
              for i, label in enumerate(col_labels)]
    heights = [max([_text_size(label, font)[1]] + [picture.height for picture in row])
               for label, row in zip(row_labels, table)]
    gap = max(4, int(font.size) // 2)
    left = gap + max((_text_size(label, font)[0] + gap for label in row_labels if label), default=0)
    line = int(font.size * 1.3)
    top = gap + (line + gap if title else 0) + (line if any(col_labels) else 0)
    sheet_width = max(left + sum(widths) + gap * len(widths), 2 * gap + _text_size(title, font)[0])
    sheet = Image.new('RGB', (sheet_width, top + sum(heights) + gap * len(heights)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((gap, gap), title, INK, font)
    xs = [left + sum(widths[:i]) + gap * i for i in range(len(widths))]
    for label, x, width in zip(col_labels, xs, widths):
        draw.text((x + width / 2, top - gap / 2), label, INK, font, anchor='ms')
    y = top
    for label, row, height in zip(row_labels, table, heights):
        draw.text((left - gap, y + height / 2), label, INK, font, anchor='rm')
        for picture, x, width in zip(row, xs, widths):
            _paste(sheet, picture, x + (width - picture.width) // 2, y)
        y += height + gap
    return sheet


def captioned_grid(images: Sequence, captions: Sequence[str], title: str = '') -> Image.Image:
    """Arranges pictures [C, H, W] of one size in a near-square sheet, each with its caption above it.

    Scaled as in `labelled_grid`. Raises ValueError where the counts differ or nothing is given.
    """
    if not images or len(images) != len(captions):
        raise ValueError(f'{len(captions)} captions do not fit {len(images)} pictures')
    pictures = _resize_all([[to_pillow(image) for image in images]])[0]
    font = _font_for([pictures])
    line, gap = int(font.size * 1.3), max(4, int(font.size) // 2)
    width = max([picture.width for picture in pictures] + [_text_size(text, font)[0] for text in captions])
    height = max(picture.height for picture in pictures) + line
    columns = min(len(pictures), max(1, round(math.sqrt(len(pictures) * height / width))))
    count = -(-len(pictures) // columns)
    top = gap + (line + gap if title else 0)
    sheet_width = max(gap + columns * (width + gap), 2 * gap + _text_size(title, font)[0])
    sheet = Image.new('RGB', (sheet_width, top + count * (height + gap)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((gap, gap), title, INK, font)
    for index, (picture, caption) in enumerate(zip(pictures, captions)):
        x, y = gap + index % columns * (width + gap), top + index // columns * (height + gap)
        draw.text((x + width / 2, y + line * 0.78), caption, INK, font, anchor='ms')
        _paste(sheet, picture, x + (width - picture.width) // 2, y + line)
    return sheet


def _resize_all(table: list[list[Image.Image]]) -> list[list[Image.Image]]:
    """Enlarges, or reduces, all pictures by one whole number."""
    pictures = [picture for row in table for picture in row]
    if not pictures:
        return table
    pixels = sum(picture.width * picture.height for picture in pictures)
    factor = max(1, round(READABLE / min(picture.height for picture in pictures)))
    factor = max(1, min(factor, math.isqrt(MAX_GRID_PIXELS // pixels)))
    divisor = math.ceil(math.sqrt(pixels / MAX_GRID_PIXELS))
    if divisor > 1:
        return [[picture.reduce(divisor) for picture in row] for row in table]
    return [[picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
             for picture in row] for row in table]


def _font_for(table: list[list[Image.Image]]) -> ImageFont.FreeTypeFont:
    """Pillow's own font, a tenth of the pictures' height within 15…40 pixels."""
    tallest = max((picture.height for row in table for picture in row), default=0)
    return ImageFont.load_default(size=min(max(15, tallest // 10), 40))


def _text_size(text: str, font: ImageFont.FreeTypeFont) -> tuple[int, int]:
    return math.ceil(font.getlength(text)), math.ceil(font.size * 1.3)


def _paste(sheet: Image.Image, picture: Image.Image, x: int, y: int) -> None:
    sheet.paste(picture.convert('RGB') if picture.mode != 'RGBA' else picture, (x, y),
                picture if picture.mode == 'RGBA' else None)
