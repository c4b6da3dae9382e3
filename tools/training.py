"""What the commands that train share: from options to a plan, going on with a run, one or several processes,
what is recorded and said. What is trained is a Program.
"""

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from tools import cli, processes

LATER = ('kimg', 'snap', 'workers', 'stop_on_nan', 'metrics')   # what a resumed run may do otherwise ...
DEVICES = ('gpus', 'batch_gpu')                                 # ... and where, with the same pictures a step
CHANGEABLE = LATER + DEVICES
GIVEN = 'options'                           # entry of training_options.json: what the user asked for

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


class Program(NamedTuple):
    """One of the things that can be trained. Functions of a module: they travel to other processes."""
    config: type                            # dataclass of a run
    check: Callable[[dict], None]           # refuses options without looking at the dataset
    resolve: Callable[..., Any]             # (options, DatasetInfo, device) -> config
    warnings: Callable[..., list[str]]      # (options, DatasetInfo) -> sentences
    divided: Callable[..., dict]            # (config of the run, changes) -> its num_gpus and batch_gpu
    prepare: Callable[..., tuple]           # (config, options) -> config, sentences: what it needs is fetched
    build: Callable[..., Any]               # (config, state) -> training
    train: Callable[..., None]              # (training, run folder, say=, watch=, wait=)
    describe: Callable[[Any], str]          # the log's line about a training


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be trained, before anything is built or written."""
    config: Any
    outdir: str
    given: dict                 # options of the command line that the run folder records
    run_dir: str | None = None  # of the run that goes on
    state: dict | None = None   # its newest, if it is loaded
    warnings: tuple[str, ...] = ()

    def to_send(self):
        """As another process gets it: a state is large."""
        return dataclasses.replace(self, state=None)


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


# ----- what is asked for ------------------------------------------------------------------------------------


def make_plan(program, outdir, options, dry_run):
    """What these options ask for; None where it has been done: a dry run, a finished run."""
    resumed = options.get('resume') == 'latest'
    plan = (plan_resume if resumed else plan_start)(program, outdir, options)
    if dry_run:
        click.echo(json.dumps(dataclasses.asdict(plan.config), indent=2))
        return None
    if plan.state is not None:
        nimg = plan.state['values']['progress']['nimg']
        if nimg >= plan.config.kimg * 1000:
            click.echo(f'{plan.run_dir} is finished: {nimg / 1000:g} of {plan.config.kimg:g} kimg.')
            return None
    return plan


def plan_start(program, outdir, options):
    program.check(options)
    info = dataset_info(options)
    config = resolve(program, options, info)
    return Plan(config, outdir, options, warnings=tuple(program.warnings(options, info)))


def plan_resume(program, outdir, options):
    from stylegan2_mspe import run_folder
    from stylegan2_mspe.config import from_json

    run_dir, state = newest_run(outdir)
    recorded = run_folder.read_json(os.path.join(run_dir, run_folder.OPTIONS))
    given = recorded.pop(GIVEN)
    config = changed_config(program, from_json(program.config, recorded), given, options, run_dir)
    given = {**given, **{name: options[name] for name in LATER if name in options}}
    return Plan(config, outdir, given, run_dir, state)


def newest_run(outdir):
    """(run folder, loaded state) of the newest run with a complete state."""
    from stylegan2_mspe import checkpoint, run_folder

    for _, run_dir in run_folder.runs(outdir):
        state = checkpoint.newest_state(run_dir)
        if state is not None:
            return run_dir, state
    raise ValueError(f'--resume=latest: found no run with a complete training state in {outdir}, expected '
                     '<id>-<name>/training-state-<kimg>.pt there')


def changed_config(program, recorded, given, options, run_dir):
    """The recorded config with what may change; ValueError for a wish that would make it another run."""
    from stylegan2_mspe.options import flag

    changes = {name: value for name, value in options.items() if name in CHANGEABLE}
    program.check({'data': given['data'], **changes})
    later = {name: changes[name] for name in LATER if name in changes}
    changes = {**later, **program.divided(recorded, changes)}
    for name in options.keys() - {*CHANGEABLE, 'resume'}:
        if options[name] != given.get(name) and makes_another_run(program, given, name, options[name]):
            found = given.get(name, getattr(recorded, name, 'its default'))
            raise ValueError(f'{flag(name)}={options[name]}: {run_dir} was started with {found}; a resumed '
                             f'run may change only {", ".join(map(flag, CHANGEABLE))}')
    return dataclasses.replace(recorded, **changes)


def makes_another_run(program, given, name, value):
    """Whether a wish differs from what the run was started with, be it a wish then or a default."""
    if name == 'data':
        return os.path.abspath(value) != os.path.abspath(given['data'])
    if name == 'desc':
        return True
    before, after = resolve(program, given), resolve(program, {**given, name: value})
    return before != dataclasses.replace(after, desc=before.desc)


def resolve(program, options, info=None):
    """The config of these options; `info` where the dataset has been looked at already."""
    info = info or dataset_info(options)
    return program.resolve(options, info, device=cli.pick_device(options.get('device', 'auto')).type)


def dataset_info(options):
    from stylegan2_mspe.dataset import open_dataset
    from stylegan2_mspe.options import DatasetInfo

    data = open_dataset(options['data'], use_labels=True)
    channels, resolution, _ = data.image_shape
    try:
        label_dim = data.label_dim
    except ValueError:          # labels that nobody asked for may be what they are
        if options.get('cond'):
            raise
        label_dim = 0
    return DatasetInfo(name=data.name, size=len(data), channels=channels, resolution=resolution,
                       label_dim=label_dim)


def prepare(program, plan):
    """The plan as it can be carried out on this machine, once what it needs has been fetched."""
    config, sentences = program.prepare(plan.config, plan.given)
    return dataclasses.replace(plan, config=config, warnings=(*plan.warnings, *sentences))


def check_devices(plan):
    """Raises ValueError where this machine has fewer devices than processes would be started on."""
    count = plan.config.num_gpus
    if count == 1:
        return
    if plan.config.device == 'cpu' and plan.given.get('device') != 'cpu':
        raise ValueError(f'--gpus={count}: found no CUDA device on this machine, expected {count}, or '
                         '--device=cpu, which starts as many processes on its cores')
    from stylegan2_mspe import distributed
    distributed.check_devices(plan.config.device, count)


# ----- carrying it out --------------------------------------------------------------------------------------


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
