"""What the values of options look like, and what they become: sizes, seeds, shifts, boxes, lists …"""

import os
import re

import click

MAX_SEEDS = 1_000_000


class TextType(click.ParamType):
    """A value written as text, which `parse` reads; one that is none, such as a default, stays what it is."""

    def parse(self, text: str):
        """Raises ValueError with a sentence for text of another form."""
        raise NotImplementedError

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SizeType(TextType):
    """'256x512' is (256, 512): height and width in pixels."""

    name = 'HxW'

    def parse(self, text):
        match = re.fullmatch(r'(\d{1,18})x(\d{1,18})', text.strip().lower(), re.ASCII)
        size = tuple(map(int, match.groups())) if match else (0, 0)
        if 0 in size:
            raise ValueError(f'found {text!r}, expected HEIGHTxWIDTH in pixels such as 256x512')
        return size


class ListType(TextType):
    """Comma-separated values; gives a tuple."""

    def __init__(self, item, name):
        self.item, self.name = item, name

    def parse(self, text):
        try:
            return tuple(self.item(part.strip()) for part in text.split(','))
        except ValueError:
            raise ValueError(f'found {text!r}, expected {self.name} separated by commas') from None


class SeedsType(TextType):
    """Whole numbers and ranges: '0-15', '3,5,8', '1,4-6'; gives a list."""

    name = 'list'

    def parse(self, text):
        ranges = []
        for part in text.split(','):
            match = re.fullmatch(r'\s*(\d{1,10})(?:\s*-\s*(\d{1,10}))?\s*', part, re.ASCII)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
            if not 0 <= first <= last < 2 ** 32:
                raise ValueError(f'found {text!r}, expected seeds from 0 to {2 ** 32 - 1}, such as 0-15 or '
                                 '3,5,8')
            ranges.append(range(first, last + 1))
        if sum(map(len, ranges)) > MAX_SEEDS:
            raise ValueError(f'found {sum(map(len, ranges))} seeds, expected at most {MAX_SEEDS}')
        return [seed for numbers in ranges for seed in numbers]


class ShiftType(TextType):
    """'K' (down and right) or 'DY,DX' in pixels of the trained picture, fractions allowed; gives (dy, dx)."""

    name = 'K|DY,DX'

    def parse(self, text):
        number = r'\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*'
        match = re.fullmatch(rf'{number}(?:,{number})?', text, re.ASCII)
        shift = (float(match[1]), float(match[2] or match[1])) if match else (1e9, 0)
        if max(map(abs, shift)) > 1e6:
            raise ValueError(f'found {text!r}, expected pixels such as 16, -4.5 or 0,32')
        return tuple(distance + 0.0 for distance in shift)


class RepeatType(TextType):
    """'START:STOPxN': a stretch of the trained picture's pixels, N times; gives (start, stop, N)."""

    name = 'A:BxN'

    def parse(self, text):
        match = re.fullmatch(r'\s*(-?\d{1,8}):(-?\d{1,8})x(\d{1,4})\s*', text, re.ASCII)
        start, stop, times = map(int, match.groups()) if match else (0, 0, 0)
        if start >= stop or times < 1:
            raise ValueError(f'found {text!r}, expected pixels and how often to show them, such as 64:128x3')
        return start, stop, times


class BoxType(TextType):
    """'Y,X,HxW' in pixels, or in whole ones only; gives (top, left, height, width)."""

    name = 'Y,X,HxW'

    def __init__(self, whole: bool = False):
        self.whole = whole

    def parse(self, text):
        number = r'\s*(-?\d{1,9})\s*' if self.whole else r'\s*(-?(?:\d{1,9}(?:\.\d*)?|\.\d+))\s*'
        match = re.fullmatch(rf'{number},{number},{number}x{number}', text, re.ASCII)
        box = tuple(map(int if self.whole else float, match.groups())) if match else (0, 0, 0, 0)
        if min(box[2:]) <= 0:
            raise ValueError(f'found {text!r}, expected a box TOP,LEFT,HEIGHTxWIDTH in pixels, such as '
                             '16,16,32x32')
        return box


class EditType(TextType):
    """'INDEX:STRENGTH', such as 0:3 or 2:-1.5; gives (index, strength)."""

    name = 'INDEX:STRENGTH'

    def parse(self, text):
        match = re.fullmatch(r'\s*(\d{1,6})\s*:\s*([+-]?(?:\d{1,9}(?:\.\d*)?|\.\d+))\s*', text, re.ASCII)
        if not match:
            raise ValueError(f'found {text!r}, expected the index of a direction and how far to go along it, '
                             'such as 0:3')
        return int(match[1]), float(match[2])


class MemoryType(TextType):
    """'2G', '500M'; gives bytes."""

    name = 'BYTES'

    def parse(self, text):
        match = re.fullmatch(r'(\d{1,12}(?:\.\d{1,9})?)([KMGT]?)B?', text.strip().upper(), re.ASCII)
        count = int(float(match[1]) * 1000 ** ' KMGT'.index(match[2] or ' ')) if match else 0
        if not count:
            raise ValueError(f'found {text!r}, expected an amount of memory such as 2G or 500M')
        return count


class DetectorType(TextType):
    """'FILE', or a URL, for every metric, or 'KIND=FILE'; gives (kind, file)."""

    name = '[KIND=]FILE'

    def parse(self, text):
        kind, equals, file = text.partition('=')
        if not equals or '://' in kind or os.path.exists(text):
            return '', text
        if kind not in ('inception', 'vgg16') or not file:
            raise ValueError(f'found {text!r}, expected a file, inception=FILE or vgg16=FILE')
        return kind, file
