"""Sends pictures t steps into noise and back through a diffusion model (the paper's Fig. 9 and E)."""

import os
import pathlib
import sys

import click

if not __package__:     # started as `python tools/reconstruct_ddpm.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli, diffusing, drawing  # noqa: E402
from tools.option_types import ShiftType, TextType  # noqa: E402


class TimesType(TextType):
    """'100,200,500'; gives whole numbers, each once."""

    name = 'list'

    def parse(self, text):
        parts = [part.strip() for part in text.split(',')]
        if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
            raise ValueError(f'found {text!r}, expected steps of noise such as 100,200,500')
        return list(dict.fromkeys(map(int, parts)))


@click.command(context_settings=cli.SETTINGS)
@click.option('--data', metavar='PATH', required=True,
              help="Folder or zip of pictures of the canvas's size, or demo")
@diffusing.options('network')
@click.option('--t', 'times', type=TimesType(), default='100,200,300,400,500,600,700,800,900',
              show_default=True, help='Steps of noise')
@click.option('--count', type=click.IntRange(min=1), default=8, show_default=True,
              help='Take this many pictures')
@click.option('--shift', type=ShiftType(), default='0', help='Where the pictures are: their content '
              'is K, or DY,DX, pixels down and right of where the network was trained to see it')
@drawing.options('canvas', 'size', 'wrap')
@diffusing.sampler_option('ancestral')
@diffusing.options('steps', 'eta')
@click.option('--seed', type=click.IntRange(0, 2 ** 32 - 1), default=0, show_default=True,
              help='Of the noise of the first picture; the others have the next ones')
@drawing.options('precision', 'device')
@click.option('--outdir', default='./out', show_default=True, help='Folder for the pictures')
def main(data, network, times, count, shift, box, size, wrap, sampler, steps, eta, seed, precision, device,
         outdir):
    """Reconstructs pictures from t steps of noise: the more, the less is kept of them. An MS-PE network is
    told by the canvas where their content is.

    \b
    python tools/reconstruct_ddpm.py --data=bottom-left/ --shift=32,0
    python tools/reconstruct_ddpm.py --data=photos.zip --t=300,600 --count=4 --sampler=ddim --steps=50
    """
    import numpy as np
    import torch

    from ddpm_mspe import reconstruction, sampling
    from stylegan2_mspe import images, rendering

    diffusing.check_eta(sampler)
    unet, diffusion, network = diffusing.open_network(network, device, precision)
    diffusing.check_steps(steps, diffusion)
    with drawing.naming('--t'):
        for t in times:
            reconstruction.check_time(t, diffusion)
    canvas = rendering.request_canvas(unet.img_resolution, box, shift, size, wrap)
    names, pixels = read_pictures(data, count, unet, canvas)
    batch = diffusing.batch_that_fits(unet, canvas, f'--data={data}')
    os.makedirs(outdir, exist_ok=True)
    rows = [[picture] for picture in pixels]
    parts = range(0, len(pixels), batch)
    progress = diffusing.counting(sum(min(steps or t, t) for t in times) * len(parts), 'Steps')
    for start in parts:
        part = torch.from_numpy(np.stack(pixels[start:start + batch]))
        seeds = range(seed + start, seed + start + len(part))
        for t in times:
            found = sampling.reconstructed(unet, diffusion, part / 127.5 - 1, t, seeds, canvas,
                                           sampler=sampler, steps=steps, eta=eta, progress=progress)
            for index, picture in enumerate(found, start):
                rows[index].append(images.to_uint8(picture))
                images.save_png(picture, os.path.join(outdir, f'{names[index]}-t{t:04d}.png'))
    sheet = images.labelled_grid(rows, names, ['source', *(f't = {t}' for t in times)],
                                 os.path.basename(network))
    images.save_png(sheet, os.path.join(outdir, 'grid.png'))
    print(f'Wrote {len(pixels) * len(times)} reconstructions and grid.png to {outdir}')


def read_pictures(data, count, unet, canvas):
    """(names, pictures uint8 [C, H, W]) of the first `count`, of the canvas's size and the U-Net's channels.
    """
    from stylegan2_mspe.picture_file import describe

    size = (unet.img_resolution,) * 2 if canvas is None else (canvas.height, canvas.width)
    expected = (*size, unet.img_channels)
    names, pictures = [], []
    for name, picture in decoded(data, count):
        if picture.shape != expected:
            raise ValueError(f'{name} in {data}: found a picture of {describe(picture.shape)}, expected '
                             f'{describe(expected)}, the size of the canvas and the colours of the network')
        names.append(os.path.splitext(name)[0].replace('/', '-'))
        pictures.append(picture.transpose(2, 0, 1))
    return names, pictures


def decoded(data, count):
    """Names and pictures uint8 [H, W, C] of the first `count` files, or of the built-in data."""
    from stylegan2_mspe import dataset, digits
    from stylegan2_mspe.archive import open_archive
    from stylegan2_mspe.picture_file import decode_picture, is_picture_name

    if data == dataset.DEMO:
        return [(f'{data}{index:04d}', digits.demo_picture(index)) for index in range(count)]
    archive = open_archive(data)
    files = [name for name in archive.names if is_picture_name(name)][:count]
    if not files:
        raise ValueError(f'--data={data}: found no pictures, expected at least one')
    return ((file, decode_picture(archive.read(file), f'{file} in {data}')) for file in files)


if __name__ == '__main__':
    cli.run(main)
