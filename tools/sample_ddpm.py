"""Draws pictures from a diffusion model: seeds, at any shift, on any canvas, at any size."""

import os
import pathlib
import sys

import click

if not __package__:     # started as `python tools/sample_ddpm.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli, diffusing, drawing  # noqa: E402
from tools.option_types import SeedsType, ShiftType  # noqa: E402
from tools.sheet import ContactSheet, save_picture  # noqa: E402


@click.command(context_settings=cli.SETTINGS)
@diffusing.options('network')
@click.option('--seeds', type=SeedsType(), default='0-15', show_default=True,
              help='Random seeds, such as 0-15 or 3,5,8')
@click.option('--shift', 'shifts', type=ShiftType(), multiple=True,
              help='Move the content down and right by K, or down by DY and right by DX, pixels of the '
                   'trained picture; give it several times for several columns')
@drawing.options('canvas', 'size', 'wrap')
@diffusing.sampler_option('ddim')
@diffusing.options('steps', 'eta')
@drawing.options('precision', 'device')
@click.option('--outdir', default='./out', show_default=True, help='Folder for the pictures')
def main(network, seeds, shifts, box, size, wrap, sampler, steps, eta, precision, device, outdir):
    """Draws pictures from a diffusion model, by default with 50 steps of DDIM. The noise of a seed belongs
    to the world: it moves with the content, and a picture is the same in every batch.

    \b
    python tools/sample_ddpm.py --seeds=0-15                             # 16 pictures
    python tools/sample_ddpm.py --shift=0 --shift=32,0                   # where they are, and lower
    python tools/sample_ddpm.py --sampler=ancestral --steps=1000         # Ho et al.'s, all steps
    """
    from ddpm_mspe import sampling
    from stylegan2_mspe import rendering

    diffusing.check_eta(sampler)
    unet, diffusion, network = diffusing.open_network(network, device, precision)
    steps = steps or min(50, diffusion.steps)
    diffusing.check_steps(steps, diffusion)
    shifts = list(dict.fromkeys(shifts)) or [(0.0, 0.0)]
    canvases = [rendering.request_canvas(unet.img_resolution, box, shift, size, wrap) for shift in shifts]
    drawing.note_extrapolation(unet, canvases)
    shown = size or box or (unet.img_resolution,) * 2
    batch = diffusing.batch_that_fits(unet, canvases[0], f'--{"size" if size else "canvas"}='
                                      f'{shown[0]}x{shown[1]}')
    os.makedirs(outdir, exist_ok=True)
    sheet = ContactSheet(len(seeds), shown, [f'seed {seed}' for seed in seeds], shifts)
    tasks = [(start, column) for start in range(0, len(seeds), batch) for column in range(len(shifts))]
    progress = diffusing.counting(len(tasks) * steps, 'Steps')
    for start, column in tasks:
        part = seeds[start:start + batch]
        pictures = sampling.sample(unet, diffusion, part, canvases[column], sampler=sampler, steps=steps,
                                   eta=eta, progress=progress)
        for index, picture in enumerate(pictures, start):
            name = f'seed{seeds[index]:04d}'
            sheet.add(index, column, save_picture(picture, outdir, name, shifts, column))
    sheet.save(os.path.join(outdir, 'grid.png'), f'{os.path.basename(network)}, {sampler}, {steps} steps')
    count = len(seeds) * len(shifts)
    print(f'Wrote {count} picture{"s" if count > 1 else ""} and grid.png to {outdir}')


if __name__ == '__main__':
    cli.run(main)
