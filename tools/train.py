"""Trains a generator: parses, builds one config, calls the training loop, reports."""

import math

import click

from stylegan2_mspe.config import PRESET_NAMES, TrainingConfig
from stylegan2_mspe.options import (AUGPIPES, PLANS, PRETRAINED, check, prepare, resolve, share_of_device,
                                    warnings)
from tools import cli, training
from tools.option_types import ListType
from tools.training_plan import Program


@click.command(context_settings=cli.SETTINGS)
# What is trained.
@training.options('data')
@click.option('--outdir', metavar='DIR', default='training-runs', show_default=True,
              help='Where run folders go')
@click.option('--cfg', metavar='NAME', help=f'Preset: {", ".join(PRESET_NAMES)}  [default: auto]')
@click.option('--pe', type=click.Choice(PLANS),
              help="Positional encoding: of no scale, the coarsest, all, or all round the picture  "
              "[default: the preset's]")
@click.option('--cond', type=bool, metavar='BOOL',
              help='Condition on the labels of the dataset  [default: false]')
@training.options('subset')
@click.option('--mirror', type=bool, metavar='BOOL',
              help="Add every picture mirrored left-right  [default: the preset's]")
@click.option('--resume', metavar='SOURCE',
              help='latest: go on with the newest run in --outdir exactly where it stopped. A file, a URL or '
              f'{", ".join(PRETRAINED)}: start from that network  [default: noresume]')
@click.option('--freezed', type=int, metavar='N',
              help='Keep the weights of the first N layers of D  [default: 0]')
# How.
@training.options('kimg', 'batch', 'batch-gpu')
@click.option('--gamma', type=float, metavar='X', help="Weight of R1  [default: the preset's]")
@click.option('--cbase', type=int, metavar='N',
              help="Channels are cbase/resolution ...  [default: the preset's]")
@click.option('--cmax', type=int, metavar='N', help="... but at most cmax  [default: the preset's]")
@click.option('--map-depth', type=int, metavar='N',
              help="Layers of the mapping network  [default: the preset's]")
@click.option('--border', type=click.Choice(['zero', 'plane']),
              help='Beyond the pictures of G: zeros, or the world going on, so that nothing tells where they '
              "end  [default: the preset's]")
@click.option('--random-resize', type=ListType(int, 'sizes'), metavar='SIZES',
              help='Draw each step at one of these sizes, such as 256,320,384,448,512')
@click.option('--random-shift', type=bool, metavar='BOOL', help='Move the content at most steps, by whole '
              "pixels round the picture, and roll it back for D  [default: the preset's]")
@click.option('--random-margin', type=float, metavar='P', help='Draw this part of the pictures without a '
              'border, as the inside of a larger canvas is  [default: 0]')
@click.option('--aug', type=click.Choice(['noaug', 'ada', 'fixed']),
              help="Augment what D sees: never, as much as D needs, always alike  [default: the preset's]")
@click.option('--p', type=float, metavar='P', help='Its probability, with and only with --aug=fixed')
@click.option('--target', type=float, metavar='X',
              help="What --aug=ada aims at: the mean sign of D's logits of real pictures  [default: 0.6]")
@click.option('--augpipe', type=click.Choice(AUGPIPES), help='Which transformations  [default: bgc]')
# On what, and what is written.
@training.options('device')
@click.option('--gpus', type=int, metavar='N',
              help='Processes, a power of two: one for each GPU of this machine or, with --device=cpu, as '
              'many on its cores  [default: 1; under torchrun: all]')
@training.options('seed', 'tick', 'snap')
@cli.metrics_option('At each snapshot: fid50k_full, kid50k_full, pr50k3_full, fid_mnist, eqt_int and others '
                    'of calc_metrics.py, or none  [default: fid50k_full; on a CPU none]')
@training.options('desc')
@click.option('--stop-on-nan', type=bool, metavar='BOOL',
              help='End the run, saved, at a NaN or when all pictures become one  [default: false]')
@click.option('--workers', type=int, metavar='N', help='Processes that read the dataset  [default: 3]')
@training.options('fp32')
@click.option('--nhwc', type=bool, metavar='BOOL', help='Channels-last memory with float16  [default: false]')
@training.options('nobench', 'allow-tf32', 'dry-run')
def main(outdir, dry_run, **options):
    """Trains a generator. Options left out take the preset's value; with --resume=latest, the run's.

    \b
    python train.py --cfg=mspe-small --data=demo                    # two CPU cores are enough
    python train.py --cfg=mspe --data=ffhq256.zip --batch-gpu=8     # the paper's recipe
    python train.py --cfg=paper256 --pe=mspe --data=cats.zip --mirror=1
    python train.py --resume=latest                                 # after a kill, a crash or a power cut
    python train.py --resume=latest --kimg=800                      # train longer
    python train.py --cfg=mspe --data=ffhq256.zip --gpus=8          # eight processes, one for each GPU
    """
    training.main(PROGRAM, outdir, options, dry_run)


def divided(recorded, changes):
    """How the pictures of a step are divided when a run goes on elsewhere: as before as far as possible.

    Raises ValueError where they can't be, or would be compared in other groups by D.
    """
    gpus = changes.get('gpus', recorded.num_gpus)
    own = share_of_device(recorded.batch, gpus)
    batch_gpu = changes.get('batch_gpu', math.gcd(own, recorded.batch_gpu))
    if own % batch_gpu:
        raise ValueError(f'--batch-gpu={batch_gpu}: expected a divisor of {own}, the images per device')
    group = min(recorded.mbstd_group, recorded.batch_gpu)
    if batch_gpu % group:
        raise ValueError(f'--gpus={gpus}: gives {batch_gpu} images per pass, expected a multiple of {group}, '
                         'the group of the minibatch standard deviation that the run was started with')
    return dict(num_gpus=gpus, batch_gpu=batch_gpu)


def build(config, state=None):
    from stylegan2_mspe import training_parts

    return training_parts.build(config, state)


def train(built, run_dir, **reports):
    from stylegan2_mspe import training_loop

    training_loop.train(built, run_dir, **reports)


def describe(built):
    config = built.config
    return (f'{len(built.dataset)} pictures {config.resolution}x{config.resolution} of {config.data_name}; '
            f'{config.cfg}, pe {config.pe}, batch {config.batch}, {config.kimg:g} kimg on '
            + training.where(config)
            + ('' if config.aug == 'noaug' else f', augmented ({config.aug}, {config.augpipe})'))


PROGRAM = Program(TrainingConfig, check, resolve, warnings, divided, prepare, build, train, describe)
