"""Draws pictures from a network: seeds or projected latents, at any shift, on any canvas, at any size."""

import os

import click

from tools import cli, drawing

MAX_SHEET = 400     # rows, or pictures of a single column, that grid.png shows


@click.command(context_settings=cli.SETTINGS)
@drawing.options('network')
@click.option('--seeds', type=drawing.SeedsType(),
              help='Random seeds, such as 0-15 or 3,5,8  [default: 0-15]')
@click.option('--projected-w', metavar='FILE',
              help='Draw the latents of this .npz (key w) or .npy file instead of seeds')
@drawing.options('trunc', 'class', 'noise-mode')
@click.option('--shift', 'shifts', type=drawing.ShiftType(), multiple=True,
              help='Move the content down and right by K, or down by DY and right by DX, pixels of the '
                   'trained picture; give it several times for several columns')
@drawing.options('canvas', 'size', 'wrap', 'precision', 'device')
@click.option('--outdir', default='./out', show_default=True, help='Folder for the pictures')
def main(network, seeds, projected_w, psi, class_idx, noise_mode, shifts, box, size, wrap, precision, device,
         outdir):
    """Draws pictures from a network. With no option at all: seeds 0-15 of the newest, or the bundled,
    network.

    \b
    python generate.py --shift=0 --shift=16 --shift=0,32     # three columns
    python generate.py --shift=16 --canvas=256x512           # a wider world
    python generate.py --size=512x512                        # the same world, finer
    """
    from stylegan2_mspe import rendering

    G, network = drawing.open_network(network, device, precision)
    if projected_w is None:
        seeds = list(range(16)) if seeds is None else seeds
        names, captions = [f'seed{seed:04d}' for seed in seeds], [f'seed {seed}' for seed in seeds]
        latents = drawing.seed_source(G, seeds, drawing.class_of(G, class_idx), psi)
    else:
        if seeds is not None:
            print('Note: --seeds is not used with --projected-w.')
        ws = drawing.read_projected_w(projected_w, G)
        names, captions = [f'proj{i:02d}' for i in range(len(ws))], [f'w {i}' for i in range(len(ws))]
        latents = lambda start, stop: ws[start:stop]

    shifts = list(dict.fromkeys(shifts)) or [(0.0, 0.0)]
    shown = size or box or (G.img_resolution, G.img_resolution)
    asked = f'--size={shown[0]}x{shown[1]}' if size else f'--canvas={shown[0]}x{shown[1]}'
    batch = rendering.batch_that_fits(G, shown, asked)
    canvases = [rendering.request_canvas(G.img_resolution, box, shift, size, wrap) for shift in shifts]
    drawing.note_extrapolation(G, canvases)

    os.makedirs(outdir, exist_ok=True)
    sheet = ContactSheet(len(names), shown, captions, shifts)
    tasks = [(start, column) for start in range(0, len(names), batch) for column in range(len(shifts))]
    for start, column in cli.progress(tasks, total=len(tasks), label='Drawing'):
        stop = min(start + batch, len(names))
        pictures = rendering.render(G, latents(start, stop), canvases[column], noise_mode)
        for index, picture in zip(range(start, stop), pictures):
            sheet.add(index, column, save_picture(picture, outdir, names[index], shifts, column))
    sheet.save(os.path.join(outdir, 'grid.png'), f'{os.path.basename(network)}, {shown[0]} x {shown[1]}')
    count = len(names) * len(shifts)
    print(f'Wrote {count} picture{"s" if count > 1 else ""} and grid.png to {outdir}')


def shift_label(shift: tuple[float, float]) -> str:
    return f'{shift[0]:g}' if shift[0] == shift[1] else f'{shift[0]:g},{shift[1]:g}'


def save_picture(picture, outdir: str, name: str, shifts: list, column: int):
    """Writes one picture [C, H, W]; every shift but the first has its name on the file. Returns it as
    uint8.
    """
    from stylegan2_mspe import images

    if column:
        name += f'-shift{shifts[column][0]:g}_{shifts[column][1]:g}'
    pixels = images.to_uint8(picture)
    images.save_png(pixels, os.path.join(outdir, f'{name}.png'))
    return pixels


class ContactSheet:
    """Collects reduced pictures, so that memory is bounded, and lays them out: a row a seed, a column a
    shift.
    """

    def __init__(self, count: int, size: tuple[int, int], captions: list[str], shifts: list):
        from stylegan2_mspe import images

        self.count, self.total, self.captions, self.shifts = min(count, MAX_SHEET), count, captions, shifts
        pixels = self.count * len(shifts) * size[0] * size[1]
        self.divisor = -(-int((pixels / images.MAX_GRID_PIXELS) ** 0.5 * 1000) // 1000) or 1
        self.rows = [[None] * len(shifts) for _ in range(self.count)]

    def add(self, index: int, column: int, pixels) -> None:
        from stylegan2_mspe import images

        if index < self.count:
            self.rows[index][column] = images.to_pillow(pixels).reduce(self.divisor)

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


if __name__ == '__main__':
    cli.run(main)
