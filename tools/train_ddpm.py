"""Trains a diffusion model: parses, builds one config, calls the training loop, reports."""

import dataclasses
import json
import os
import pathlib
import sys

import click

if not __package__:     # started as `python tools/train_ddpm.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from ddpm_mspe.config import PRESET_NAMES, DiffusionConfig  # noqa: E402
from stylegan2_mspe.options import PLANS  # noqa: E402
from tools import cli, diffusing, processes  # noqa: E402

LATER = ('kimg', 'snap', 'workers', 'stop_on_nan')      # what a resumed run may do otherwise ...
DEVICES = ('gpus', 'batch_gpu')                         # ... and where, with the same pictures a step
GIVEN = 'options'                           # entry of training_options.json: what the user asked for


@click.command(context_settings=cli.SETTINGS)
@click.option('--data', metavar='PATH',
              help='Dataset: a zip or folder (see dataset_tool.py), or demo  [required]')
@click.option('--outdir', metavar='DIR', default=diffusing.RUNS, show_default=True,
              help='Where run folders go')
@click.option('--cfg', type=click.Choice(PRESET_NAMES), help=f'Preset  [default: {PRESET_NAMES[0]}]')
@click.option('--pe', type=click.Choice(PLANS),
              help='Positional encoding: of no scale, the coarsest, all  [default: mspe]')
@click.option('--subset', type=int, metavar='N', help='Train with N pictures only  [default: all]')
@click.option('--resume', type=click.Choice(['latest']),
              help='Go on with the newest run in --outdir exactly where it stopped')
@click.option('--kimg', type=float, metavar='N',
              help="Length in thousands of images  [default: the preset's]")
@click.option('--batch', type=int, metavar='N', help="Images per step  [default: the preset's]")
@click.option('--batch-gpu', type=int, metavar='N',
              help='Images per pass, where a whole batch needs too much memory')
@click.option('--device', type=click.Choice(['auto', 'cpu', 'cuda']), help='[default: auto]')
@click.option('--gpus', type=int, metavar='N',
              help='Processes on this machine, one for each GPU (or, with --device=cpu, on its cores); a '
              'power of two  [default: 1; under torchrun: all]')
@click.option('--seed', type=int, metavar='N', help='[default: 0]')
@click.option('--tick', type=float, metavar='KIMG',
              help='Thousands of images between status lines  [default: 4]')
@click.option('--snap', type=int, metavar='TICKS', help="Ticks between snapshots  [default: the preset's]")
@click.option('--desc', metavar='TEXT', help="Added to the run's name")
@click.option('--stop-on-nan', type=bool, metavar='BOOL',
              help='End the run, saved, at a NaN  [default: false]')
@click.option('--workers', type=int, metavar='N', help='Processes that read the dataset  [default: 1]')
@click.option('--fp32', type=bool, metavar='BOOL', help='Compute in float32 throughout  [default: false]')
@click.option('--nobench', type=bool, metavar='BOOL', help='No timing of cuDNN algorithms  [default: false]')
@click.option('--allow-tf32', type=bool, metavar='BOOL', help='TF32 on Ampere and later  [default: false]')
@click.option('-n', '--dry-run', is_flag=True, help='Print the resolved options and stop')
def main(outdir, dry_run, **options):
    """Trains a diffusion model. Options left out take the preset's value; with --resume=latest, the run's.

    \b
    python tools/train_ddpm.py --cfg=ddpm64-small --data=demo             # two CPU cores are enough
    python tools/train_ddpm.py --cfg=ddpm64 --pe=mspe --data=color-mnist.zip --gpus=2
    python tools/train_ddpm.py --resume=latest                            # after a kill or a power cut
    """
    options = {name: value for name, value in options.items() if value is not None}
    world = processes.started_by_torchrun(options)
    if world is not None:
        processes.member(world, None, True, run_jointly, outdir, options, dry_run)
        return
    plan = make_plan(outdir, options, dry_run)
    if plan is not None:
        processes.run(plan.config.num_gpus, carry_out, plan)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be trained, before anything is built or written."""
    config: DiffusionConfig
    outdir: str
    given: dict                 # options of the command line that the run folder records
    run_dir: str | None = None  # of the run that goes on


def make_plan(outdir, options, dry_run):
    """What these options ask for; None where it has been done: a dry run, a finished run."""
    if 'resume' in options:
        plan = plan_resume(outdir, options)
    else:
        plan = Plan(resolve_options(options), outdir, options)
    if dry_run:
        click.echo(json.dumps(dataclasses.asdict(plan.config), indent=2))
        return None
    return plan


def resolve_options(options):
    from ddpm_mspe.options import check, resolve
    from tools.train import dataset_info

    check(options)
    return resolve(options, dataset_info(options), device=cli.pick_device(options.get('device', 'auto')).type)


def plan_resume(outdir, options):
    from stylegan2_mspe import run_folder
    from stylegan2_mspe.options import flag
    from tools.train import newest_run

    run_dir, _ = newest_run(outdir)
    recorded = run_folder.read_json(os.path.join(run_dir, run_folder.OPTIONS))
    given = recorded.pop(GIVEN)
    before = DiffusionConfig.from_json(recorded)
    for name in options.keys() - {*LATER, *DEVICES, 'resume'}:
        if options[name] != given.get(name):
            raise ValueError(f'{flag(name)}={options[name]}: {run_dir} was started with '
                             f'{given.get(name, "its default")}; a resumed run may change only '
                             f'{", ".join(map(flag, LATER + DEVICES))}')
    given.update({name: options[name] for name in (*LATER, *DEVICES) if name in options})
    now = resolve_options(given)
    changes = {name: getattr(now, name) for name in (*LATER, 'num_gpus', 'batch_gpu')}
    return Plan(dataclasses.replace(before, **changes), outdir, given, run_dir)


def run_jointly(outdir, options, dry_run):
    """Trains as one of the processes that torchrun has started; the first makes the plan."""
    from stylegan2_mspe import distributed

    plan = distributed.share(make_plan(outdir, options, dry_run) if distributed.is_first() else None)
    if plan is not None:
        carry_out(plan)


def carry_out(plan):
    """Builds and trains, in each process; the first one alone reads and writes the run folder."""
    from ddpm_mspe import training
    from stylegan2_mspe import checkpoint, distributed, run_folder

    first, run_dir, state = distributed.is_first(), plan.run_dir, None
    if run_dir is not None:
        state = distributed.share(checkpoint.newest_state(run_dir) if first else None)
    built = training.build(plan.config, state)
    if not first:
        training.train(built, None, say=lambda line: None)
        return
    what = 'Training'
    if run_dir is not None:
        what = f'Resuming at {built.progress.nimg / 1000:g} kimg'
    run_dir = run_dir or run_folder.create(plan.outdir, plan.config.desc)
    path = os.path.join(run_dir, run_folder.OPTIONS)
    run_folder.write_json(path, {**dataclasses.asdict(plan.config), GIVEN: plan.given})
    run(built, run_dir, what)


def run(built, run_dir, what):
    """Trains with everything said going to log.txt too."""
    from ddpm_mspe import training
    from dnnlib.util import Logger
    from tools.meter import Meter

    config = built.config
    meter = Meter(config.kimg * 1000, sys.stderr)

    def say(line):
        meter.clear()
        print(line)

    with Logger(os.path.join(run_dir, 'log.txt'), file_mode='a', should_flush=True):
        say(f'{what}: {run_dir}')
        count = sum(parameter.numel() for parameter in built.models['unet'].parameters())
        say(f'{len(built.dataset)} pictures {config.resolution}x{config.resolution} of {config.data_name}; '
            f'{config.cfg}, {count / 1e6:.3g} M parameters, pe {config.pe}, batch {config.batch}, '
            f'{config.kimg:g} kimg on {config.num_gpus} x {config.device}')
        try:
            training.train(built, run_dir, say=say, watch=meter.update)
        except OSError as error:    # a full disk does not say where
            error.filename = error.filename or run_dir
            raise
        finally:
            meter.clear()
        say(f'Done: {run_dir}')


if __name__ == '__main__':
    cli.run(main)
