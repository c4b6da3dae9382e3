"""Trains a diffusion model: parses, builds one config, calls the training loop, reports."""

import math
import pathlib
import sys

import click

if not __package__:     # started as `python tools/train_ddpm.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from ddpm_mspe.config import PRESET_NAMES, DiffusionConfig  # noqa: E402
from ddpm_mspe.default_network import RUNS  # noqa: E402
from ddpm_mspe.options import check, resolve, split_batch  # noqa: E402
from stylegan2_mspe.options import PLANS  # noqa: E402
from tools import cli, training  # noqa: E402
from tools.training_plan import Program  # noqa: E402


@click.command(context_settings=cli.SETTINGS)
@training.options('data')
@click.option('--outdir', metavar='DIR', default=RUNS, show_default=True,
              help='Where run folders go')
@click.option('--cfg', type=click.Choice(PRESET_NAMES), help=f'Preset  [default: {PRESET_NAMES[0]}]')
@click.option('--pe', type=click.Choice(PLANS),
              help='Positional encoding: of no scale, the coarsest, all, or all round the picture  '
              '[default: mspe]')
@training.options('subset')
@click.option('--resume', type=click.Choice(['latest']),
              help='Go on with the newest run in --outdir exactly where it stopped')
@training.options('kimg', 'batch', 'batch-gpu', 'device')
@click.option('--gpus', type=int, metavar='N',
              help='Processes on this machine, one for each GPU (or, with --device=cpu, on its cores); a '
              'power of two  [default: 1; under torchrun: all]')
@training.options('seed', 'tick', 'snap', 'desc')
@click.option('--stop-on-nan', type=bool, metavar='BOOL',
              help='End the run, saved, at a NaN  [default: false]')
@click.option('--workers', type=int, metavar='N', help='Processes that read the dataset  [default: 1]')
@training.options('fp32', 'nobench', 'allow-tf32', 'dry-run')
def main(outdir, dry_run, **options):
    """Trains a diffusion model. Options left out take the preset's value; with --resume=latest, the run's.

    \b
    python tools/train_ddpm.py --cfg=ddpm64-small --data=demo             # two CPU cores are enough
    python tools/train_ddpm.py --cfg=ddpm64 --pe=mspe --data=color-mnist.zip --gpus=2
    python tools/train_ddpm.py --resume=latest                            # after a kill or a power cut
    """
    training.main(PROGRAM, outdir, options, dry_run)


def warnings(options, info):
    return []


def prepare(config, given):
    return config, []


def divided(recorded, changes):
    """How the pictures of a step are divided when a run goes on elsewhere. Raises ValueError."""
    gpus = changes.get('gpus', recorded.num_gpus)
    batch_gpu = changes.get('batch_gpu', math.gcd(recorded.batch // gpus, recorded.batch_gpu))
    gpus, _, batch_gpu = split_batch(recorded.batch, gpus, batch_gpu)
    return dict(num_gpus=gpus, batch_gpu=batch_gpu)


def build(config, state=None):
    from ddpm_mspe import training

    return training.build(config, state)


def train(built, run_dir, wait=None, **reports):     # there are no metrics to wait for
    from ddpm_mspe import training

    training.train(built, run_dir, **reports)


def describe(built):
    config = built.config
    count = sum(parameter.numel() for parameter in built.models['unet'].parameters())
    return (f'{len(built.dataset)} pictures {config.resolution}x{config.resolution} of {config.data_name}; '
            f'{config.cfg}, {count / 1e6:.3g} M parameters, pe {config.pe}, batch {config.batch}, '
            f'{config.kimg:g} kimg on {training.where(config)}')


PROGRAM = Program(DiffusionConfig, check, resolve, warnings, divided, prepare, build, train, describe)


if __name__ == '__main__':
    cli.run(main)
