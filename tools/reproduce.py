"""Repeats an experiment of the paper: one command, a picture, the numbers as JSON, what the paper says."""

import json
import os
import pathlib
import sys

import click

if not __package__:     # started as `python tools/reproduce.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli, drawing  # noqa: E402


@click.group(context_settings=cli.SETTINGS, epilog='Example: python tools/reproduce.py fig2 --seeds=256')
def main():
    """Repeats an experiment of the paper; results go to ./out."""


def named_network(context, parameter, values):
    """label=FILE, or FILE, which is its own label -> {label: file}."""
    files = {}
    for value in values:
        label, file = (None, value) if os.path.exists(value) or '=' not in value else value.split('=', 1)
        label = label or pathlib.Path(file).stem
        if label in files:
            raise click.BadParameter(f'{label!r} twice: expected a label of its own for each, as in a={file}')
        files[label] = file
    return files


@main.command()
@click.option('--network', 'files', metavar='[LABEL=]PKL', multiple=True, callback=named_network,
              help='Network to measure; several times for several  [default: the newest or the bundled one]')
@click.option('--seeds', 'count', type=click.IntRange(min=1), default=1000, show_default=True,
              help='Number of latents')
@click.option('--outdir', default='./out', show_default=True)
@drawing.options('device')
def fig2(files, count, outdir, device):
    """Similarity of digits with themselves after shifts of 0 to 32 pixels."""
    import dataclasses

    from stylegan2_mspe import default_network, images, legacy, rendering
    from stylegan2_mspe.experiments import fig2

    files = files or {'network': default_network.default_network()}
    where = cli.pick_device(device)
    networks = {label: rendering.prepare(legacy.load_network_pkl(file)['G_ema'], where)
                for label, file in files.items()}
    batches = -(-count // 32)
    curves = fig2.measure(networks, range(count), lambda loop: cli.progress(loop, batches, 'batches'))
    os.makedirs(outdir, exist_ok=True)
    images.save_png(fig2.plot(curves), os.path.join(outdir, 'fig2.png'))
    images.save_png(fig2.digits(networks, range(4)), os.path.join(outdir, 'fig2-digits.png'))
    numbers = dict(experiment='fig2', claim=fig2.CLAIM, seeds=count, networks=files, shifts=fig2.SHIFTS,
                   curves=[dataclasses.asdict(curve) for curve in curves])
    save_json(numbers, os.path.join(outdir, 'fig2.json'))
    print('\n'.join(fig2.summary(curve) for curve in curves))
    print(f'The paper: {fig2.CLAIM}.')
    print(f'Written: fig2.png, fig2-digits.png and fig2.json in {outdir}')


def save_json(value, path):
    from stylegan2_mspe.files import atomic_write
    with atomic_write(path, 'w') as file:
        json.dump(value, file, indent=1)


if __name__ == '__main__':
    cli.run(main)
