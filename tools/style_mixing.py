"""Mixes styles: what the rows' latents say about some layers is replaced by what the columns' say."""

import os

import click

from tools import cli, drawing
from tools.option_types import SeedsType, ShiftType

DEFAULT_STYLES = range(7)       # StyleGAN2's: position, pose and coarse shapes


@click.command(context_settings=cli.SETTINGS)
@drawing.options('network')
@click.option('--rows', 'row_seeds', type=SeedsType(),
              help='Random seeds of the rows  [default: 0-3, or none with --projected-w]')
@click.option('--cols', 'col_seeds', type=SeedsType(), default='4-9', show_default=True,
              help='Random seeds of the columns')
@click.option('--projected-w', metavar='FILE',
              help='Latents of this .npz (key w) or .npy file as rows, before those of --rows')
@click.option('--styles', type=SeedsType(),
              help="Layers that take the columns' style  [default: 0-6, as far as the network has them]")
@drawing.options('trunc', 'class', 'noise-mode')
@click.option('--shift', type=ShiftType(), default='0', show_default=True,
              help='Move the content down and right by K, or down by DY and right by DX, pixels of the '
                   'trained picture')
@drawing.options('canvas', 'size', 'wrap', 'precision', 'device')
@click.option('--outdir', default='./out', show_default=True, help='Folder for the pictures')
def main(network, row_seeds, col_seeds, projected_w, styles, psi, class_idx, noise_mode, shift, box, size,
         wrap, precision, device, outdir):
    """Draws a grid of pictures: each has its row's latent, but for the layers in --styles, which take its
    column's. Writes <row>-<column>.png for every pair, <seed>-<seed>.png for the unmixed and grid.png.

    \b
    python style_mixing.py --rows=85,100,75 --cols=55,821,1789 --network=metfaces.pkl
    """
    from stylegan2_mspe import rendering

    G, _ = drawing.open_network(network, device, precision)
    styles = check_styles(styles, G.num_ws)
    if row_seeds is None:
        row_seeds = [] if projected_w else range(4)
    ws = latents(G, {*row_seeds, *col_seeds}, projected_w, drawing.class_of(G, class_idx), psi)
    rows = [name for name in ws if name.startswith('proj')] + [str(seed) for seed in row_seeds]
    cols = [str(seed) for seed in col_seeds]

    shown = size or box or (G.img_resolution, G.img_resolution)
    asked = f'--size={shown[0]}x{shown[1]}' if size else f'--canvas={shown[0]}x{shown[1]}'
    batch = rendering.batch_that_fits(G, shown, asked)
    canvas = rendering.request_canvas(G.img_resolution, box, shift, size, wrap, G.synthesis.border)
    drawing.note_extrapolation(G, [canvas])

    os.makedirs(outdir, exist_ok=True)
    grid = Grid(rows, cols, shown)
    pairs = list(dict.fromkeys([(name, name) for name in rows + cols]
                               + [(row, col) for row in rows for col in cols]))
    starts = range(0, len(pairs), batch)
    for start in cli.progress(starts, total=len(starts), label='Drawing'):
        names = pairs[start : start + batch]
        pictures = rendering.render(G, mix(ws, names, styles), canvas, noise_mode)
        for (row, col), picture in zip(names, pictures):
            grid.add(row, col, save_picture(picture, os.path.join(outdir, f'{row}-{col}.png')))
    grid.save(os.path.join(outdir, 'grid.png'))
    print(f'Wrote {len(pairs)} pictures and grid.png to {outdir}')


def check_styles(styles: list[int] | None, num_ws: int) -> list[int]:
    """The layers to mix. Raises ValueError for one that the network does not have."""
    if styles is None:
        return [layer for layer in DEFAULT_STYLES if layer < num_ws]
    if max(styles) >= num_ws:
        raise ValueError(f'--styles: found layer {max(styles)}, expected 0 to {num_ws - 1} for this network')
    return styles


def latents(G, seeds: set[int], projected_w: str | None, class_idx: int, psi: float) -> dict:
    """Name → ws [num_ws, w_dim]: 'proj00' ... of the file, then the seeds as text."""
    ws = drawing.read_projected_w(projected_w, G) if projected_w else []
    seeds = sorted(seeds)
    drawn = drawing.seed_source(G, seeds, class_idx, psi)(0, len(seeds))
    return {**{f'proj{i:02d}': w for i, w in enumerate(ws)}, **dict(zip(map(str, seeds), drawn))}


def mix(ws: dict, pairs: list[tuple[str, str]], styles: list[int]):
    """ws [N, num_ws, w_dim]: the rows', with the layers `styles` of the columns'."""
    import torch

    mixed = torch.stack([ws[row] for row, _ in pairs])
    mixed[:, styles] = torch.stack([ws[col] for _, col in pairs])[:, styles]
    return mixed


def save_picture(picture, path: str):
    """Writes one picture [C, H, W]; returns it as a Pillow image."""
    from stylegan2_mspe import images

    picture = images.to_pillow(picture)
    images.save_png(picture, path)
    return picture


class Grid:
    """The pictures without gaps: the columns' own on top, the rows' own on the left, black in the corner.

    Reduced by a whole number where the whole would be too large.
    """

    def __init__(self, rows: list[str], cols: list[str], size: tuple[int, int]):
        from stylegan2_mspe import images

        self.rows, self.cols, self.sheet, pixels = rows, cols, None, size[0] * size[1]
        self.divisor = 1
        while (len(rows) + 1) * (len(cols) + 1) * pixels > images.MAX_GRID_PIXELS * self.divisor ** 2:
            self.divisor += 1

    def add(self, row: str, col: str, picture) -> None:
        from PIL import Image

        picture = picture.reduce(self.divisor)
        if self.sheet is None:
            width, height = picture.width * (len(self.cols) + 1), picture.height * (len(self.rows) + 1)
            self.sheet = Image.new(picture.mode, (width, height))
        for x, y in self.places(row, col):
            self.sheet.paste(picture, (x * picture.width, y * picture.height))

    def places(self, row: str, col: str) -> list[tuple[int, int]]:
        """Where in the grid, (column, row) counted from its corner, a pair belongs."""
        inner = [(x, y) for y, r in enumerate(self.rows, 1) if r == row
                 for x, c in enumerate(self.cols, 1) if c == col]
        if row != col:
            return inner
        return (inner + [(x, 0) for x, c in enumerate(self.cols, 1) if c == col]
                + [(0, y) for y, r in enumerate(self.rows, 1) if r == row])

    def save(self, path: str) -> None:
        from stylegan2_mspe import images

        images.save_png(self.sheet, path)
