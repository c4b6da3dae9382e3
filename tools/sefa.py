"""Finds directions to edit along: what changes a network's pictures most, from its weights alone (SeFa)."""

import os
import pathlib
import sys

import click

if not __package__:     # started as `python tools/sefa.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli, drawing  # noqa: E402
from tools.option_types import SeedsType, ShiftType  # noqa: E402


@click.command(context_settings=cli.SETTINGS)
@drawing.options('network')
@click.option('--layers', type=SeedsType(),
              help='Latents w whose layers count and are edited, such as 0-3 for coarse shapes  '
                   '[default: all]')
@click.option('--rgb', is_flag=True, help='Let the layers that make the colours count, too')
@click.option('--normalize', is_flag=True, help='Give every layer the same say, however loud and wide')
@click.option('--directions', 'count', type=click.IntRange(min=1), default=5, show_default=True,
              help='How many to draw; the file has all of them')
@click.option('--strength', type=click.FloatRange(min=0, min_open=True, max=1e6), default=3,
              show_default=True, help='How far to go, both ways')
@click.option('--steps', type=click.IntRange(2, 99), default=5, show_default=True,
              help='Pictures of a latent along a direction')
@click.option('--seeds', type=SeedsType(), help='Latents to edit  [default: 0-3]')
@click.option('--projected-w', metavar='FILE', help='Latents of this .npz (key w) or .npy file instead')
@drawing.options('trunc', 'class', 'noise-mode')
@click.option('--shift', type=ShiftType(), default='0', show_default=True,
              help='Move the content down and right by K, or down by DY and right by DX, pixels of the '
                   'trained picture')
@drawing.options('canvas', 'size', 'wrap', 'device')
@click.option('--outdir', default='./out', show_default=True, help='Folder for the pictures')
def main(network, layers, rgb, normalize, count, strength, steps, outdir, device, seeds, projected_w, psi,
         class_idx, noise_mode, shift, box, size, wrap):
    """Finds the directions of w that change the pictures most. Writes them to sefa.npz and a grid of edited
    pictures for each of the first to sefa-<index>.png.

    \b
    python tools/sefa.py --layers=0-3
    python generate.py --edit=0:3 --directions=out/sefa.npz
    """
    drawing.check_projected_w(projected_w, psi)
    from stylegan2_mspe import images, rendering, sefa

    G, _ = drawing.open_network(network, device, 'fp32')
    found = sefa.factorise(G, layers, rgb, normalize)
    count = min(count, len(found.vectors))
    ws, captions = drawing.few_latents(G, seeds, projected_w, class_idx, psi)
    canvas = rendering.request_canvas(G.img_resolution, box, shift, size, wrap, G.synthesis.border)
    shown = size or box or (G.img_resolution, G.img_resolution)
    rendering.batch_that_fits(G, shown, f'--canvas={shown[0]}x{shown[1]}', most=1)

    os.makedirs(outdir, exist_ok=True)
    sefa.save_directions(os.path.join(outdir, 'sefa.npz'), found)
    strengths = [strength * (2 * step / (steps - 1) - 1) for step in range(steps)]
    for index in cli.progress(range(count), count, 'Drawing'):
        columns = [[images.to_pillow(picture) for one in ws.split(1) for picture in rendering.render(
                    G, sefa.edit(one, found, index, along), canvas, noise_mode)] for along in strengths]
        heads = [f'{along:+g}' if along else '0' for along in strengths]
        table = images.labelled_grid(list(zip(*columns)), captions, heads,
                                     f'direction {index}, eigenvalue {float(found.values[index]):.3g}')
        images.save_png(table, os.path.join(outdir, f'sefa-{index}.png'))
    print(f'Wrote {len(found.vectors)} directions to sefa.npz and {count} grids to {outdir}')


if __name__ == '__main__':
    cli.run(main)
