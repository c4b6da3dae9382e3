"""Makes a dataset zip or folder out of pictures."""

import os
import sys

import click

from tools import cli
from tools.option_types import TextType

MAX_CLASSES_SHOWN = 20


class ColourType(TextType):
    """A colour's name, #rrggbb or R,G,B; gives (red, green, blue)."""

    name = 'colour'

    def parse(self, text):
        from stylegan2_mspe.fit import parse_colour
        return parse_colour(text)


@click.command(context_settings=cli.SETTINGS)
@click.option('--source', metavar='PATH', required=True,
              help='Folder or .zip of pictures, *_lmdb folder, cifar-10-python.tar.gz, '
                   'train-images-idx3-ubyte.gz, or color-mnist:<folder of the MNIST files>')
@click.option('--dest', metavar='PATH', required=True,
              help='Where the dataset goes: a name that ends in .zip, or an empty folder')
@click.option('--max-images', type=int, metavar='N', help='Take only the first N pictures')
@click.option('--resize-filter', type=click.Choice(['box', 'lanczos']), default='lanczos', show_default=True)
@click.option('--transform', type=click.Choice(['center-crop', 'center-crop-wide', 'center-crop-tall']),
              help='Cut out the middle: a square, or a width:height box put on a black square')
@click.option('--width', type=int, metavar='PIXELS', help="Width to scale to  [default: the source's]")
@click.option('--height', type=int, metavar='PIXELS', help="Height to scale to  [default: the source's]")
@click.option('--force-channels', type=click.Choice(['1', '3', '4']),
              help="Make every picture grey, RGB or RGBA  [default: as they are, all alike]")
@click.option('--background', type=ColourType(), metavar='COLOUR',
              help='Put transparent pictures on this colour, such as white or 255,255,255  [default: black '
                   'where --force-channels leaves no transparency]')
@click.option('--subfolders-as-labels', is_flag=True, help='Every folder of the source is a class')
@click.option('--skip-bad', is_flag=True,
              help='Leave out, and name, what does not decode or fit  [default: stop at the first]')
@click.option('--seed', type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help='Choice, order and colours of color-mnist')
def main(source, dest, max_images, resize_filter, transform, width, height, force_channels, background,
         subfolders_as_labels, skip_bad, seed):
    """Makes a dataset of same-sized pictures for train.py.

    Pictures become uncompressed PNGs 00000/img00000000.png ... in an uncompressed zip (or a folder), labels
    become dataset.json. All must come out square, with a side that is a power of two, and all grey, RGB or
    RGBA.

    \b
    python dataset_tool.py --source photos/ --dest photos.zip --transform=center-crop --width=256 --height=256
    python dataset_tool.py --source animals/ --dest animals.zip --subfolders-as-labels
    python dataset_tool.py --source color-mnist:mnist/ --dest color-mnist.zip
    """
    from stylegan2_mspe.dataset_writing import convert
    from stylegan2_mspe.fit import Fit
    from stylegan2_mspe.sources import COLOR_MNIST, open_source

    cli.refuse_unused('--seed', source.startswith(COLOR_MNIST), f'--source {source}',
                      f'--source {COLOR_MNIST}<folder>, which draws lots')
    fit = Fit(transform=transform, width=width, height=height, resize_filter=resize_filter,
              channels=force_channels and int(force_channels), background=background)
    if os.path.isfile(source) and os.path.exists(dest) and os.path.samefile(source, dest):
        raise ValueError(f'--dest {dest}: found the source itself, expected another file')
    skipped = []

    def skip(sentence):
        skipped.append(sentence)
        over = '\r\x1b[K' if sys.stderr.isatty() else ''  # the progress line, which is drawn again
        click.echo(f'{over}Skipped {sentence}', err=True)

    opened = open_source(source, seed, subfolders_as_labels)
    count = convert(opened, dest, fit, max_images, skip=skip if skip_bad else None,
                    watch=lambda results, total: cli.progress(results, total, 'converted'))
    click.echo(f'{dest}: {count} pictures' + (f', {len(skipped)} skipped' if skipped else ''))
    if opened.classes:
        click.echo(f'{len(opened.classes)} classes: {describe_classes(opened.classes)}')


def describe_classes(classes: tuple[str, ...]) -> str:
    """'0 cats, 1 dogs', cut short where there are many."""
    shown = [f'{number} {name}' for number, name in enumerate(classes[:MAX_CLASSES_SHOWN])]
    return ', '.join(shown) + (', ...' if len(classes) > len(shown) else '')
