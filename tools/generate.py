"""Draws pictures from a network: seeds or projected latents, at any shift, on any canvas, at any size."""

import os
import re

import click

from tools import cli

MAX_SEEDS = 1_000_000
MAX_SHEET = 400     # rows, or pictures of a single column, that grid.png shows


class SeedsType(click.ParamType):
    """Whole numbers and ranges: '0-15', '3,5,8', '1,4-6'."""

    name = 'list'

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        ranges = []
        for part in value.split(','):
            match = re.fullmatch(r'\s*(\d{1,10})(?:\s*-\s*(\d{1,10}))?\s*', part, re.ASCII)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
            if not 0 <= first <= last < 2 ** 32:
                self.fail(f'found {value!r}, expected seeds from 0 to {2 ** 32 - 1}, such as 0-15 or 3,5,8')
            ranges.append(range(first, last + 1))
        if sum(map(len, ranges)) > MAX_SEEDS:
            self.fail(f'found {sum(map(len, ranges))} seeds, expected at most {MAX_SEEDS}', param, ctx)
        return [seed for numbers in ranges for seed in numbers]


class ShiftType(click.ParamType):
    """'K' (down and right) or 'DY,DX' in pixels of the trained picture, fractions allowed; gives (dy, dx)."""

    name = 'K|DY,DX'

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        number = r'\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*'
        match = re.fullmatch(rf'{number}(?:,{number})?', value, re.ASCII)
        shift = (float(match[1]), float(match[2] or match[1])) if match else (1e9, 0)
        if max(map(abs, shift)) > 1e6:
            self.fail(f'found {value!r}, expected pixels such as 16, -4.5 or 0,32', param, ctx)
        return tuple(distance + 0.0 for distance in shift)


@click.command(context_settings=cli.SETTINGS)
@click.option('--network', metavar='PKL',
              help='Network file or URL  [default: newest snapshot under ./training-runs, else the bundled '
                   'network]')
@click.option('--seeds', type=SeedsType(), help='Random seeds, such as 0-15 or 3,5,8  [default: 0-15]')
@click.option('--projected-w', metavar='FILE', help='Draw the latents `w` of this .npz file instead of seeds')
@click.option('--trunc', 'psi', type=float, default=1, show_default=True, help='Truncation psi')
@click.option('--class', 'class_idx', type=int, help='Class label of a conditional network')
@click.option('--noise-mode', type=click.Choice(['const', 'random', 'none']), default='const',
              show_default=True, help='Stored noise, fresh noise or none')
@click.option('--shift', 'shifts', type=ShiftType(), multiple=True,
              help='Move the content down and right by K, or down by DY and right by DX, pixels of the '
                   'trained picture; give it several times for several columns')
@click.option('--canvas', 'box', type=cli.SizeType(),
              help='Draw this much of the world about the trained picture  [default: the trained size]')
@click.option('--size', type=cli.SizeType(),
              help='Draw the canvas on this many pixels  [default: one to one]')
@click.option('--wrap/--no-wrap', default=None,
              help='Shift round in a circle, or extrapolate  [default: round along an axis where the canvas '
                   'has the trained length]')
@click.option('--precision', type=click.Choice(['fp32', 'fp16', 'bf16', 'fp64']), default='fp32',
              show_default=True,
              help='What to compute in; fp16 and bf16 concern the levels trained in half precision')
@click.option('--device', type=click.Choice(['auto', 'cpu', 'cuda']), default='auto', show_default=True,
              help='Where to compute')
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
    import torch

    from stylegan2_mspe import legacy, rendering
    from stylegan2_mspe.default_network import default_network

    device = pick_device(device)
    network = network or default_network()
    print(f'Network: {network}')
    G = rendering.prepare(legacy.load_network_pkl(network)['G_ema'], device, precision)

    if projected_w is None:
        seeds = list(range(16)) if seeds is None else seeds
        names, captions = [f'seed{seed:04d}' for seed in seeds], [f'seed {seed}' for seed in seeds]
        latents = seed_source(G, seeds, class_of(G, class_idx), psi)
    else:
        if seeds is not None:
            print('Note: --seeds is not used with --projected-w.')
        ws = read_projected_w(projected_w, G)
        names, captions = [f'proj{i:02d}' for i in range(len(ws))], [f'w {i}' for i in range(len(ws))]
        latents = lambda start, stop: ws[start:stop]

    shifts = list(dict.fromkeys(shifts)) or [(0.0, 0.0)]
    shown = size or box or (G.img_resolution, G.img_resolution)
    asked = f'--size={shown[0]}x{shown[1]}' if size else f'--canvas={shown[0]}x{shown[1]}'
    batch = rendering.batch_that_fits(G, shown, asked)
    canvases = [rendering.request_canvas(G.img_resolution, box, shift, size, wrap) for shift in shifts]
    if any(map(rendering.is_extrapolated, canvases)):
        print(f'Note: beyond three times the trained {G.img_resolution} pixels the picture is extrapolated.')

    os.makedirs(outdir, exist_ok=True)
    sheet = ContactSheet(len(names), shown, captions, shifts)
    tasks = [(start, column) for start in range(0, len(names), batch) for column in range(len(shifts))]
    for start, column in cli.progress(tasks, total=len(tasks), label='Drawing'):
        stop = min(start + batch, len(names))
        pictures = rendering.render(G, latents(start, stop), canvases[column], noise_mode)
        for index, picture in zip(range(start, stop), pictures):
            sheet.add(index, column, save_picture(picture, outdir, names[index], shifts, column))
    sheet.save(os.path.join(outdir, 'grid.png'), f'{os.path.basename(network)}, {shown[0]} x {shown[1]}')
    print(f'Wrote {len(names) * len(shifts)} pictures and grid.png to {outdir}')


def pick_device(name: str):
    """'auto' is CUDA where there is some. Raises ValueError for CUDA where there is none."""
    import torch

    if name == 'cuda' and not torch.cuda.is_available():
        raise ValueError('--device=cuda: found no CUDA device, expected one (or --device=cpu)')
    return torch.device('cuda' if name != 'cpu' and torch.cuda.is_available() else 'cpu')


def class_of(G, class_idx: int | None) -> int:
    """Checks --class against the network; 0 for a network without classes."""
    if G.c_dim == 0:
        if class_idx is not None:
            print('Note: --class is not used, the network has no classes.')
        return 0
    if class_idx is None or not 0 <= class_idx < G.c_dim:
        found = 'nothing' if class_idx is None else class_idx
        raise ValueError(f'--class: found {found}, expected 0 to {G.c_dim - 1} for this conditional network')
    return class_idx


def seed_source(G, seeds: list[int], class_idx: int, psi: float):
    """A function (start, stop) → ws [stop - start, num_ws, w_dim] of those seeds."""
    import torch

    from stylegan2_mspe import rendering

    def latents(start, stop):
        z = torch.from_numpy(rendering.seed_latents(seeds[start:stop], G.z_dim))
        z = z.to(next(G.parameters()).device)
        with torch.no_grad():
            return G.mapping(z, rendering.class_labels(G, [class_idx] * len(z)), truncation_psi=psi)
    return latents


def read_projected_w(path: str, G):
    """ws [N, num_ws, w_dim] under the key `w` of an .npz file, as the projector writes it. Raises ValueError,
    OSError.
    """
    import numpy as np
    import torch

    expected = f'expected an .npz file with numbers w of shape [N, {G.num_ws}, {G.w_dim}]'
    if not os.path.isfile(path):
        raise ValueError(f'--projected-w={path}: found no such file, {expected}')
    try:
        with np.load(path, allow_pickle=False) as file:
            ws = np.array(file['w'], dtype=np.float64)
    except MemoryError:
        raise
    except Exception as error:  # numpy raises whatever zip, header or data stumble over
        raise ValueError(f'--projected-w={path}: found {error}, {expected}') from error
    if ws.ndim != 3 or ws.shape[1:] != (G.num_ws, G.w_dim) or not len(ws):
        raise ValueError(f'--projected-w={path}: found w of shape {list(ws.shape)}, {expected}')
    return torch.from_numpy(ws).to(next(G.parameters()))


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
