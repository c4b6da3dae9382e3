"""Line plots as pictures, drawn with Pillow: axes, grid lines, a legend that covers no curve; the colours can
be told apart by everyone.
"""

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000']  # Okabe and Ito
INK, GRID, PAPER = '#303030', '#e2e2e2', '#ffffff'
Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # name → (xs, ys)
SCALE = 3  # drawn this much larger and reduced, for smooth lines


def line_plot(curves: Curves, *, title: str = '', x_label: str = '', y_label: str = '',
              x_range: tuple[float, float] | None = None, y_range: tuple[float, float] | None = None,
              x_ticks: Sequence[float] | None = None, size: tuple[int, int] = (720, 440)) -> Image.Image:
    """Draws named curves, each (xs, ys), into an RGB picture of `size` (width, height).

    Points that are not finite leave a gap. Without a range the axis spans the data; without ticks they are
    round numbers. Several curves have a legend, in a corner where no curve is, else beside the axes. Raises
    ValueError for no data.
    """
    points = {name: [(float(x), float(y)) for x, y in zip(*curve, strict=True)]
              for name, curve in curves.items()}
    finite = [point for curve in points.values() for point in curve if all(map(math.isfinite, point))]
    if not finite:
        raise ValueError('a plot needs at least one finite point')
    x_range = x_range or _span([x for x, _ in finite])
    y_range = y_range or _span([y for _, y in finite])
    width, height = (side * SCALE for side in size)
    sheet = Image.new('RGB', (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14 * SCALE)
    place = _Place(x_range, y_range, (70 * SCALE, (44 if title else 20) * SCALE, width - 24 * SCALE,
                                      height - 58 * SCALE))
    legend = _Legend(list(points), font) if len(points) > 1 else None
    corner = legend and legend.corner(place, points.values(), sheet.size)

    left, top, right, bottom = place.box
    middle = (left + right) / 2
    draw.text((middle, 22 * SCALE), title, INK, ImageFont.load_default(size=17 * SCALE), anchor='mm')
    draw.text((middle, height - 16 * SCALE), x_label, INK, font, anchor='mm')
    _draw_upright(sheet, y_label, (18 * SCALE, (top + bottom) // 2), font)
    _draw_axes(draw, place, font, ticks(*x_range) if x_ticks is None else x_ticks)
    for colour, curve in zip(_colours(len(points)), points.values()):
        _draw_curve(draw, place, curve, colour)
    if legend:
        legend.draw(draw, corner)
    return sheet.resize(size, Image.Resampling.LANCZOS)


def panels(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Plots of one size each, in rows, as one picture."""
    width, height = rows[0][0].size
    sheet = Image.new('RGB', (width * max(map(len, rows)), height * len(rows)), PAPER)
    for row, plots in enumerate(rows):
        for column, plot in enumerate(plots):
            sheet.paste(plot, (column * width, row * height))
    return sheet


def ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], at most `most`."""
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10, 20)
                if (high - low) / (factor * power) <= most - 1 + 1e-9)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


class _Place:
    """Data coordinates to pixels of the sheet."""

    def __init__(self, x_range, y_range, box):
        self.x_range, self.y_range, self.box = x_range, y_range, box

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.box[0] + (value - low) / (high - low) * (self.box[2] - self.box[0])

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.box[3] - (value - low) / (high - low) * (self.box[3] - self.box[1])


class _Legend:
    """The names of the curves, each beside a piece of its line, in a frame."""

    def __init__(self, names: list[str], font):
        self.names, self.font = names, font
        self.line, self.pad, self.gap = 20 * SCALE, 9 * SCALE, 12 * SCALE
        self.width = max(font.getlength(name) for name in names) + 34 * SCALE + 2 * self.pad
        self.height = self.line * len(names) + 2 * self.pad

    def corner(self, place: _Place, curves, size: tuple[int, int]) -> tuple[float, float]:
        """(left, top) in a corner of the axes where the legend covers no curve; where it would in each,
        beside the axes, which become narrower. size: of the sheet.
        """
        drawn = Image.new('1', size)
        for curve in curves:
            _draw_curve(ImageDraw.Draw(drawn), place, curve, 1)
        left, top, right, bottom = place.box
        xs = left + self.gap, right - self.gap - self.width
        ys = bottom - self.gap - self.height, top + self.gap
        for x, y in ((xs[0], ys[0]), (xs[1], ys[1]), (xs[0], ys[1]), (xs[1], ys[0])):
            if not drawn.crop((int(x), int(y), int(x + self.width) + 1, int(y + self.height) + 1)).getbbox():
                return x, y
        place.box = left, top, right - self.gap - self.width, bottom
        return right - self.width, top

    def draw(self, draw: ImageDraw.ImageDraw, corner: tuple[float, float]) -> None:
        left, top = corner
        right, bottom = left + self.width, top + self.height
        draw.rounded_rectangle([left, top, right, bottom], 4 * SCALE, PAPER, GRID, SCALE)
        start = left + self.pad
        for index, (name, colour) in enumerate(zip(self.names, _colours(len(self.names)))):
            y = top + self.pad + self.line * (index + 0.5)
            draw.line([(start, y), (start + 24 * SCALE, y)], colour, 2 * SCALE)
            draw.circle((start + 12 * SCALE, y), 3 * SCALE, colour)
            draw.text((start + 34 * SCALE, y), name, INK, self.font, anchor='lm')


def _span(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _colours(count: int) -> list[str]:
    return [COLOURS[n % len(COLOURS)] for n in range(count)]


def _draw_axes(draw: ImageDraw.ImageDraw, place: _Place, font: ImageFont.FreeTypeFont, x_ticks) -> None:
    left, top, right, bottom = place.box
    for value in x_ticks:
        x = place.x(value)
        draw.line([(x, top), (x, bottom)], GRID, SCALE)
        draw.text((x, bottom + 8 * SCALE), f'{value:g}', INK, font, anchor='mt')
    for value in ticks(*place.y_range, most=7):
        y = place.y(value)
        draw.line([(left, y), (right, y)], GRID, SCALE)
        draw.text((left - 8 * SCALE, y), f'{value:g}', INK, font, anchor='rm')
    draw.line([(left, top), (left, bottom), (right, bottom)], INK, SCALE + 1)


def _draw_curve(draw: ImageDraw.ImageDraw, place: _Place, curve: list, colour: str) -> None:
    run: list[tuple[float, float]] = []
    dots = len(curve) <= 80
    for x, y in [*curve, (math.nan, math.nan)]:
        if math.isfinite(x) and math.isfinite(y):
            run.append((place.x(x), place.y(min(max(y, place.y_range[0]), place.y_range[1]))))
            continue
        if len(run) > 1:
            draw.line(run, colour, 2 * SCALE, joint='curve')
        for dot in run if dots else run[:1]:
            draw.circle(dot, 3 * SCALE, colour)
        run = []


def _draw_upright(sheet: Image.Image, text: str, centre: tuple[int, int], font) -> None:
    """Text that reads upwards, for the vertical axis."""
    if not text:
        return
    label = Image.new('RGB', (math.ceil(font.getlength(text)) + 2, math.ceil(font.size * 1.4)), PAPER)
    ImageDraw.Draw(label).text((1, label.height // 2), text, INK, font, anchor='lm')
    label = label.rotate(90, expand=True)
    sheet.paste(label, (centre[0] - label.width // 2, centre[1] - label.height // 2))
