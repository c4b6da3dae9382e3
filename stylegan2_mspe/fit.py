"""How a picture is made to fit a dataset: cut, put on a background, scaled, padded."""

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor

from stylegan2_mspe.picture_file import MODES

FILTERS = {'box': Image.Resampling.BOX, 'lanczos': Image.Resampling.LANCZOS}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a source picture becomes a dataset picture.

    transform: None, 'center-crop' (largest square in the middle), 'center-crop-wide' or 'center-crop-tall'
               (largest width:height box in the middle, then centred on a black square)
    width, height: the size to scale to; None keeps the source's
    resize_filter: 'lanczos' or 'box'
    channels: 1, 3 or 4 for all pictures; None keeps each picture's
    background: (red, green, blue) behind transparent pictures, which become RGB; None keeps them transparent
                or, where `channels` leaves no room for that, is black
    """

    transform: str | None = None
    width: int | None = None
    height: int | None = None
    resize_filter: str = 'lanczos'
    channels: int | None = None
    background: tuple[int, int, int] | None = None

    def __post_init__(self):
        sides = {'--width': self.width, '--height': self.height}
        for flag, value in sides.items():
            if value is not None and value < 1:
                raise ValueError(f'{flag}: found {value}, expected at least 1')
        missing = [flag for flag, value in sides.items() if value is None]
        if self.transform is not None and missing:
            raise ValueError(f'--transform={self.transform}: found no {" and no ".join(missing)}, '
                             'expected both with it, such as --width=256 --height=256')
        if self.transform == 'center-crop' and self.width != self.height:
            raise ValueError(f'--width, --height: found {self.width} and {self.height}, '
                             'expected the same for --transform=center-crop')
        if self.transform == 'center-crop-wide' and self.height > self.width:
            raise ValueError(f'--height: found {self.height}, '
                             f'expected at most the width of {self.width} for --transform=center-crop-wide')
        if self.transform == 'center-crop-tall' and self.width > self.height:
            raise ValueError(f'--width: found {self.width}, '
                             f'expected at most the height of {self.height} for --transform=center-crop-tall')
        if self.channels == 4 and self.background is not None:
            raise ValueError('--background: found a colour, '
                             'expected none with --force-channels=4, which keeps transparency')

    def check_side(self) -> None:
        """Raises ValueError for sizes that make no square whose side is a power of two of any picture."""
        sides = {'--width': self.width, '--height': self.height}
        padded = {'center-crop-wide': '--height', 'center-crop-tall': '--width'}
        sides.pop(padded.get(self.transform), None)
        for flag, side in sides.items():
            if side is not None and side & (side - 1):
                raise ValueError(f'{flag}: found {side}, expected a power of two such as 256')
        if self.transform is None and self.width and self.height and self.width != self.height:
            raise ValueError(f'--width, --height: found {self.width} and {self.height}, expected the same, '
                             'or --transform=center-crop-wide or -tall with them')

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [H, W, C] to uint8 [H', W', C']."""
        height, width = pixels.shape[:2]
        if self.transform == 'center-crop':
            pixels = _crop(pixels, min(height, width), min(height, width))
        elif self.transform is not None:
            ratio = self.width / self.height
            pixels = _crop(pixels, min(height, round(width / ratio)), min(width, round(height * ratio)))
        pixels = self._resize(self._recolour(pixels))
        return _letterbox(pixels) if self.transform not in (None, 'center-crop') else pixels

    def _recolour(self, pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[2] == 4 and (self.background is not None or self.channels in (1, 3)):
            pixels = _put_on(pixels, self.background or (0, 0, 0))
        if self.channels in (None, pixels.shape[2]):
            return pixels
        return _to_array(_to_picture(pixels).convert(MODES[self.channels]))

    def _resize(self, pixels: np.ndarray) -> np.ndarray:
        size = (self.width or pixels.shape[1], self.height or pixels.shape[0])
        if size == (pixels.shape[1], pixels.shape[0]):
            return pixels
        # Pillow weighs colours with their opacity, so that what is invisible does not bleed into the rest.
        return _to_array(_to_picture(pixels).resize(size, FILTERS[self.resize_filter]))


def parse_colour(text: str) -> tuple[int, int, int]:
    """'white', '#fff' or '255,255,255' to (red, green, blue), 0-255. Raises ValueError."""
    match = re.fullmatch(r'(\d{1,3}),(\d{1,3}),(\d{1,3})', text.replace(' ', ''), re.ASCII)
    try:
        colour = tuple(map(int, match.groups())) if match else ImageColor.getrgb(text)
    except ValueError:
        colour = ()
    if len(colour) != 3 or max(colour) > 255:
        raise ValueError(f'found {text!r}, expected a colour such as white, #ffffff or 255,255,255')
    return colour


def _to_picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _to_array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def _put_on(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """RGBA [H, W, 4] over a colour: RGB [H, W, 3], rounded to the nearest level."""
    picture = _to_picture(pixels)
    sheet = Image.new('RGB', picture.size, colour)
    sheet.paste(picture, mask=picture)
    return _to_array(sheet)


def _crop(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    height, width = max(height, 1), max(width, 1)
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


def _letterbox(pixels: np.ndarray) -> np.ndarray:
    height, width, channels = pixels.shape
    side = max(height, width)
    square = np.zeros([side, side, channels], np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square
