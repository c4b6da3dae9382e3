"""Makes a dataset zip or folder out of pictures."""

import os

import click

from tools import cli


@click.command(context_settings=cli.SETTINGS)
@click.option('--source', metavar='PATH', required=True,
              help='Folder or .zip of pictures, train-images-idx3-ubyte.gz, '
                   'or color-mnist:<folder of the MNIST files>')
@click.option('--dest', metavar='PATH', required=True,
              help='Where the dataset goes: a name that ends in .zip, or an empty folder')
@click.option('--max-images', type=int, metavar='N', help='Take only the first N pictures')
@click.option('--resize-filter', type=click.Choice(['box', 'lanczos']), default='lanczos', show_default=True)
@click.option('--transform', type=click.Choice(['center-crop', 'center-crop-wide']),
              help='Cut out the middle: a square, or a width:height box put on a black square')
@click.option('--width', type=int, metavar='PIXELS', help="Width to scale to  [default: the source's]")
@click.option('--height', type=int, metavar='PIXELS', help="Height to scale to  [default: the source's]")
@click.option('--seed', type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help='Choice, order and colours of color-mnist')
def main(source, dest, max_images, resize_filter, transform, width, height, seed):
    """Makes a dataset of same-sized pictures for train.py.

    Pictures become uncompressed PNGs 00000/img00000000.png ... in an uncompressed zip (or a folder), labels
    become dataset.json. All must come out square, with a side that is a power of two, and all grey, RGB or
    RGBA.

    \b
    python dataset_tool.py --source photos/ --dest photos.zip --transform=center-crop --width=256 --height=256
    python dataset_tool.py --source color-mnist:mnist/ --dest color-mnist.zip
    """
    from stylegan2_mspe.conversion import Fit, convert
    from stylegan2_mspe.sources import open_source

    fit = Fit(transform=transform, width=width, height=height, resize_filter=resize_filter)
    if os.path.isfile(source) and os.path.exists(dest) and os.path.samefile(source, dest):
        raise ValueError(f'--dest {dest}: found the source itself, expected another file')
    count = convert(open_source(source, seed), dest, fit, max_images,
                    watch=lambda results, total: cli.progress(results, total, 'converted'))
    click.echo(f'{dest}: {count} pictures')
