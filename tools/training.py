"""What the commands that train share: options, one or several processes, what is recorded and said. What is
trained is a Program.
"""

import dataclasses
import functools
import os
import sys

import click

from tools import cli, processes
from tools.training_plan import GIVEN, Program, check_devices, make_plan, prepare

OPTIONS = {
    'data': click.option('--data', metavar='PATH',
                         help='Dataset: a zip or folder (see dataset_tool.py), or demo  [required]'),
    'subset': click.option('--subset', type=int, metavar='N',
                           help='Train with N pictures only  [default: all]'),
    'kimg': click.option('--kimg', type=float, metavar='N',
                         help="Length in thousands of images  [default: the preset's]"),
    'batch': click.option('--batch', type=int, metavar='N', help="Images per step  [default: the preset's]"),
    'batch-gpu': click.option('--batch-gpu', type=int, metavar='N',
                              help='Images per pass, where a whole batch needs too much memory'),
    'device': click.option('--device', type=click.Choice(['auto', 'cpu', 'cuda']), help='[default: auto]'),
    'seed': click.option('--seed', type=int, metavar='N', help='[default: 0]'),
    'tick': click.option('--tick', type=float, metavar='KIMG',
                         help='Thousands of images between status lines  [default: 4]'),
    'snap': click.option('--snap', type=int, metavar='TICKS',
                         help="Ticks between snapshots  [default: the preset's]"),
    'desc': click.option('--desc', metavar='TEXT', help="Added to the run's name"),
    'fp32': click.option('--fp32', type=bool, metavar='BOOL',
                         help='Compute in float32 throughout  [default: false]'),
    'nobench': click.option('--nobench', type=bool, metavar='BOOL',
                            help='No timing of cuDNN algorithms  [default: false]'),
    'allow-tf32': click.option('--allow-tf32', type=bool, metavar='BOOL',
                               help='TF32 on Ampere and later  [default: false]'),
    'dry-run': click.option('-n', '--dry-run', is_flag=True, help='Print the resolved options and stop'),
}

options = cli.choose_options(OPTIONS)     # adds those of the names given to a program


def main(program: Program, outdir: str, options: dict, dry_run: bool) -> None:
    """Trains what the options ask for; those that are None were left out."""
    options = {name: value for name, value in options.items() if value is not None}
    world = processes.started_by_torchrun(options)
    if world is not None:
        processes.member(world, None, True, run_jointly, program, outdir, options, dry_run)
        return
    plan = make_plan(program, outdir, options, dry_run)
    if plan is not None:
        check_devices(plan)
        plan = prepare(program, plan)
        count = plan.config.num_gpus
        processes.run(count, carry_out, program, plan if count == 1 else plan.to_send())


def run_jointly(program, outdir, options, dry_run):
    """Trains as one of the processes that torchrun has started; the first makes the plan."""
    from stylegan2_mspe import distributed

    plan = make_plan(program, outdir, options, dry_run) if distributed.is_first() else None
    plan = distributed.share(plan and prepare(program, plan).to_send())
    if plan is not None:
        carry_out(program, plan)


def carry_out(program, plan):
    """Builds and trains, in each process; the first one alone reads and writes the run folder."""
    from stylegan2_mspe import checkpoint, distributed, run_folder

    first, run_dir, state = distributed.is_first(), plan.run_dir, plan.state
    for warning in plan.warnings if first else ():
        click.echo(f'Warning: {warning}', err=True)
    if run_dir is not None and state is None:
        state = distributed.share(checkpoint.newest_state(run_dir) if first else None)
    if first:
        warn_of_rounding(state)
    training = program.build(plan.config, state)
    if not first:
        program.train(training, None, say=lambda line: None)
        return
    what = 'Training'
    if run_dir is not None:
        what = f'Resuming at {training.progress.nimg / 1000:g} kimg'
    run_dir = run_dir or run_folder.create(plan.outdir, plan.config.desc)
    record(run_dir, plan.config, plan.given)
    run(program, training, run_dir, what)


def warn_of_rounding(state):
    """Says where the machine adds up in another order than the one the state is of."""
    from stylegan2_mspe import checkpoint

    now = checkpoint.arithmetic()
    for name, before in (state or {}).get('arithmetic', {}).items():
        if before != now[name]:
            click.echo(f'Warning: the run was started with {name}={before} and goes on with '
                       f'{name}={now[name]}, so that sums are rounded differently.', err=True)


def record(run_dir, config, options):
    from stylegan2_mspe import run_folder

    path = os.path.join(run_dir, run_folder.OPTIONS)
    run_folder.write_json(path, {**dataclasses.asdict(config), GIVEN: options})


def run(program, training, run_dir, what):
    """Trains with everything said going to log.txt too."""
    from dnnlib.util import Logger
    from tools.meter import Meter

    meter = Meter(training.config.kimg * 1000, sys.stderr)
    wait = functools.partial(cli.progress, stream=sys.stderr)   # not into the log

    def say(line):
        meter.clear()
        print(line)

    with Logger(os.path.join(run_dir, 'log.txt'), file_mode='a', should_flush=True):
        say(f'{what}: {run_dir}')
        say(program.describe(training))
        for note in training.notes:
            say(note)
        try:
            program.train(training, run_dir, say=say, watch=meter.update, wait=wait)
        except OSError as error:    # a full disk does not say where
            error.filename = error.filename or run_dir
            raise
        finally:
            meter.clear()
        say(f'Done: {run_dir}')


def where(config) -> str:
    """'cpu', '8 x cuda'."""
    return config.device if config.num_gpus == 1 else f'{config.num_gpus} x {config.device}'
