"""Measures speed as ratios: against our own plain path and, with --peer, against StyleGAN2-ADA-PyTorch.

Every contender is a process of its own that waits while another runs; rounds are interleaved, and a ratio is
the median of the rounds' ratios, so that a machine whose speed drifts still gives the right answer. Each
table is a file of tools/benchmarks and can be asked for alone.
"""

import json
import os
import pathlib
import sys

import click

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tools.benchmarks import (  # noqa: E402
    canvas,
    contenders,
    dataset,
    diffusion,
    inference,
    kernels,
    modconv,
    processes,
    training,
)

TABLES = ('training', 'inference', 'diffusion', 'kernels', 'modconv', 'processes', 'dataset', 'canvas')
GAN = ('training/networks.py', 'StyleGAN2-ADA-PyTorch checkout')
PEERS = dict(training=GAN, inference=GAN, diffusion=('diffusers/__init__.py', 'package diffusers'))


def names_of(known):
    """A comma list of known names."""
    def split(context, parameter, value):
        names = [] if value is None else value.split(',')
        for name in names:
            if name not in known:
                raise click.BadParameter(f'{name!r}: expected a comma list of {", ".join(known)}')
        return names
    return split


def numbers(context, parameter, value):
    """A comma list of whole numbers from 1 on."""
    try:
        values = [int(part) for part in value.split(',')]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise click.BadParameter(f'{value!r}: expected a comma list of whole numbers from 1 on')
    return values


@click.command(epilog='Example: python tools/benchmark.py --tables=training --peer=../stylegan2-ada-pytorch')
@click.option('--tables', default='training,inference', show_default=True, callback=names_of(TABLES),
              help=f'comma list of {", ".join(TABLES)}')
@click.option('--networks', callback=names_of(contenders.NETWORKS),
              help='comma list of small, paper256, mspe  [default: small on a CPU, else paper256,mspe]')
@click.option('--batch', default='32', show_default=True, callback=numbers, help='of training; comma list')
@click.option('--infer-batch', default='1,8,64', show_default=True, callback=numbers,
              help='of inference; comma list')
@click.option('--rounds', default=5, show_default=True, type=click.IntRange(min=1), help='interleaved rounds')
@click.option('--seconds', default=3.0, show_default=True, help='least time a contender runs in each round')
@click.option('--sides', default='1024,2048,4096,8192', show_default=True, callback=numbers,
              help='of the squares of canvas, pixels; comma list')
@click.option('--tile', type=click.IntRange(min=1), help='of canvas, pixels  [default: as of generate.py]')
@click.option('--json', 'output', metavar='FILE', help='also write the numbers of canvas there')
@click.option('--plot', metavar='PNG', help='also write the curves of canvas there')
@click.option('--device', default='auto', show_default=True, type=click.Choice(['auto', 'cpu', 'cuda']))
@click.option('--peer', metavar='DIR', help='a StyleGAN2-ADA-PyTorch checkout to compare with; for '
              'the table diffusion, a folder with the package diffusers (pip install --target=DIR diffusers)')
def main(tables, networks, batch, infer_batch, rounds, seconds, sides, tile, output, plot, device, peer):
    """Prints tables of speed, memory and how many times faster we are."""
    from tools import cli
    for name, (file, what) in PEERS.items():
        if peer and name in tables and not os.path.isfile(os.path.join(peer, file)):
            raise click.BadParameter(f'{peer}: found no {what}, expected it for the table {name}',
                                     param_hint='--peer')
    peer = peer and os.path.abspath(peer)
    if {'training', 'processes'} & set(tables) and min(batch) < 2:
        raise click.BadParameter(f'{min(batch)}: expected at least 2', param_hint='--batch')
    device = cli.pick_device(device).type
    networks = networks or (['small'] if device == 'cpu' else ['paper256', 'mspe'])
    common = dict(device=device, peer=peer, rounds=rounds, seconds=seconds)
    runs = dict(training=lambda: training.table(networks, batch, **common),
                inference=lambda: inference.table(networks, infer_batch, **common),
                diffusion=lambda: diffusion.table(batch, **common),
                kernels=lambda: kernels.table(device, min(seconds, 1)),
                modconv=lambda: modconv.table(device, min(seconds, 1)),
                processes=lambda: processes.table(networks, batch[0] // 2 * 2, rounds, seconds),
                dataset=lambda: dataset.table(rounds),
                canvas=lambda: canvas.table(sides, tile, rounds, output, plot))
    for name in tables:
        runs[name]()


if __name__ == '__main__':
    if 'BENCHMARK_JOB' in os.environ:
        contenders.work(json.loads(os.environ['BENCHMARK_JOB']))
    else:
        from tools import cli
        cli.run(main)
