"""Pictures drawn at several shifts: their files, and the contact sheet of all of them."""

import os

MAX_SHEET = 400     # rows, or pictures of a single column, that a sheet shows
LEAST = 8           # pixels that a picture in a sheet is high and wide, unless it is smaller itself


def shift_label(shift: tuple[float, float]) -> str:
    return f'{shift[0]:g}' if shift[0] == shift[1] else f'{shift[0]:g},{shift[1]:g}'


def save_picture(picture, outdir: str, name: str, shifts: list, column: int):
    """Writes one picture [C, H, W]; every shift but the first has its name on the file. Returns it as
    uint8.
    """
    from stylegan2_mspe import images

    pixels = images.to_uint8(picture)
    images.save_png(pixels, picture_path(outdir, name, shifts, column))
    return pixels


def picture_path(outdir: str, name: str, shifts: list, column: int) -> str:
    if column:
        name += f'-shift{shifts[column][0]:g}_{shifts[column][1]:g}'
    return os.path.join(outdir, f'{name}.png')


class ContactSheet:
    """Collects reduced pictures, so that memory is bounded, and lays them out: a row a seed, a column a
    shift. most: pixels of all pictures in it together.
    """

    def __init__(self, count: int, size: tuple[int, int], captions: list[str], shifts: list,
                 most: int | None = None):
        from stylegan2_mspe import images

        self.count, self.total, self.captions, self.shifts = min(count, MAX_SHEET), count, captions, shifts
        pixels = self.count * len(shifts) * size[0] * size[1]
        self.divisor = -(-int((pixels / (most or images.MAX_GRID_PIXELS)) ** 0.5 * 1000) // 1000) or 1
        self.legible = self.divisor == 1 or min(size) // self.divisor >= LEAST
        self.rows = [[None] * len(shifts) for _ in range(self.count)]

    def add(self, index: int, column: int, pixels) -> None:
        from stylegan2_mspe import images

        if index < self.count:
            self.rows[index][column] = images.to_pillow(pixels).reduce(self.divisor)

    def add_file(self, index: int, column: int, path: str, progress) -> None:
        """A picture that was drawn in tiles, read back from its file, which is never held whole."""
        from stylegan2_mspe.reduced_png import reduced

        if index < self.count:
            self.rows[index][column] = reduced(path, self.divisor, progress)

    def save(self, path: str, title: str) -> None:
        from stylegan2_mspe import images

        if self.count < self.total:
            print(f'Note: grid.png shows the first {self.count} of {self.total}.')
        captions = self.captions[:self.count]
        if len(self.shifts) > 1:
            labels = [f'shift {shift_label(shift)}' for shift in self.shifts]
            sheet = images.labelled_grid(self.rows, captions, labels, title)
        else:
            label = shift_label(self.shifts[0])
            title += '' if label == '0' else f', shift {label}'
            sheet = images.captioned_grid([row[0] for row in self.rows], captions, title)
        images.save_png(sheet, path)
