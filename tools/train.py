"""Trains a generator: parses, builds one config, calls the training loop, reports."""

import dataclasses
import json
import math
import os
import sys

import click

from stylegan2_mspe.config import PRESET_NAMES, TrainingConfig
from stylegan2_mspe.options import AUGPIPES, PLANS, PRETRAINED
from tools import cli, processes

LATER = ('kimg', 'snap', 'workers', 'stop_on_nan')      # what a resumed run may do otherwise ...
DEVICES = ('gpus', 'batch_gpu')                         # ... and where, with the same pictures a step
CHANGEABLE = LATER + DEVICES
GIVEN = 'options'                           # entry of training_options.json: what the user asked for


class ListType(click.ParamType):
    """Comma-separated values; gives a tuple."""

    def __init__(self, item, name):
        self.item, self.name = item, name

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.item(part.strip()) for part in value.split(','))
        except ValueError:
            self.fail(f'found {value!r}, expected {self.name} separated by commas', param, ctx)


def metric_names(ctx, param, value):
    """`none` is no metric."""
    return () if value == ('none',) else value


@click.command(context_settings=cli.SETTINGS)
# What is trained.
@click.option('--data', metavar='PATH',
              help='Dataset: a zip or folder (see dataset_tool.py), or demo  [required]')
@click.option('--outdir', metavar='DIR', default='training-runs', show_default=True,
              help='Where run folders go')
@click.option('--cfg', metavar='NAME', help=f'Preset: {", ".join(PRESET_NAMES)}  [default: auto]')
@click.option('--pe', type=click.Choice(PLANS),
              help="Positional encoding: of no scale, the coarsest, all  [default: the preset's]")
@click.option('--cond', type=bool, metavar='BOOL',
              help='Condition on the labels of the dataset  [default: false]')
@click.option('--subset', type=int, metavar='N', help='Train with N pictures only  [default: all]')
@click.option('--mirror', type=bool, metavar='BOOL',
              help="Add every picture mirrored left-right  [default: the preset's]")
@click.option('--resume', metavar='SOURCE',
              help='latest: go on with the newest run in --outdir exactly where it stopped. A file, a URL or '
              f'{", ".join(PRETRAINED)}: start from that network  [default: noresume]')
@click.option('--freezed', type=int, metavar='N',
              help='Keep the weights of the first N layers of D  [default: 0]')
# How.
@click.option('--kimg', type=float, metavar='N',
              help="Length in thousands of images  [default: the preset's]")
@click.option('--batch', type=int, metavar='N', help="Images per step  [default: the preset's]")
@click.option('--batch-gpu', type=int, metavar='N',
              help='Images per pass, where a whole batch needs too much memory')
@click.option('--gamma', type=float, metavar='X', help="Weight of R1  [default: the preset's]")
@click.option('--cbase', type=int, metavar='N',
              help="Channels are cbase/resolution ...  [default: the preset's]")
@click.option('--cmax', type=int, metavar='N', help="... but at most cmax  [default: the preset's]")
@click.option('--map-depth', type=int, metavar='N',
              help="Layers of the mapping network  [default: the preset's]")
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
@click.option('--device', type=click.Choice(['auto', 'cpu', 'cuda']), help='[default: auto]')
@click.option('--gpus', type=int, metavar='N',
              help='Processes, a power of two: one for each GPU of this machine or, with --device=cpu, as many '
              'on its cores  [default: 1; under torchrun: all]')
@click.option('--seed', type=int, metavar='N', help='[default: 0]')
@click.option('--tick', type=float, metavar='KIMG',
              help='Thousands of images between status lines  [default: 4]')
@click.option('--snap', type=int, metavar='TICKS', help="Ticks between snapshots  [default: the preset's]")
@click.option('--metrics', type=ListType(str, 'names'), metavar='NAMES', callback=metric_names,
              help='Metrics at each snapshot, or none')
@click.option('--desc', metavar='TEXT', help="Added to the run's name")
@click.option('--stop-on-nan', type=bool, metavar='BOOL',
              help='End the run, saved, at a NaN or when all pictures become one  [default: false]')
@click.option('--workers', type=int, metavar='N', help='Processes that read the dataset  [default: 3]')
@click.option('--fp32', type=bool, metavar='BOOL', help='Compute in float32 throughout  [default: false]')
@click.option('--nhwc', type=bool, metavar='BOOL', help='Channels-last memory with float16  [default: false]')
@click.option('--nobench', type=bool, metavar='BOOL', help='No timing of cuDNN algorithms  [default: false]')
@click.option('--allow-tf32', type=bool, metavar='BOOL', help='TF32 on Ampere and later  [default: false]')
@click.option('-n', '--dry-run', is_flag=True, help='Print the resolved options and stop')
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
    options = {name: value for name, value in options.items() if value is not None}
    world = processes.started_by_torchrun(options)
    if world is not None:
        processes.member(world, None, True, run_jointly, outdir, options, dry_run)
        return
    plan = make_plan(outdir, options, dry_run)
    if plan is not None:
        check_devices(plan)
        processes.run(plan.config.num_gpus, carry_out, plan if plan.config.num_gpus == 1 else plan.to_send())


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be trained, before anything is built or written."""
    config: TrainingConfig
    outdir: str
    given: dict                 # options of the command line that the run folder records
    run_dir: str | None = None  # of the run that goes on
    state: dict | None = None   # its newest, if it is loaded

    def to_send(self):
        """As another process gets it: a state is large."""
        return dataclasses.replace(self, state=None)


def make_plan(outdir, options, dry_run):
    """What these options ask for; None where it has been done: a dry run, a finished run."""
    resumed = options.get('resume') == 'latest'
    plan = plan_resume(outdir, options) if resumed else plan_start(outdir, options, dry_run)
    if dry_run:
        click.echo(json.dumps(dataclasses.asdict(plan.config), indent=2))
        return None
    if plan.state is not None:
        nimg = plan.state['values']['progress']['nimg']
        if nimg >= plan.config.kimg * 1000:
            click.echo(f'{plan.run_dir} is finished: {nimg / 1000:g} of {plan.config.kimg:g} kimg.')
            return None
    return plan


def plan_start(outdir, options, dry_run):
    from stylegan2_mspe.options import check, warnings

    check(options)
    info = dataset_info(options)
    config = resolve_options(options, info)
    for warning in [] if dry_run else warnings(options, info):
        click.echo(f'Warning: {warning}', err=True)
    return Plan(config, outdir, options)


def plan_resume(outdir, options):
    from stylegan2_mspe import run_folder

    run_dir, state = newest_run(outdir)
    recorded = run_folder.read_json(os.path.join(run_dir, run_folder.OPTIONS))
    given = recorded.pop(GIVEN)
    config = changed_config(TrainingConfig.from_json(recorded), given, options, run_dir)
    given = {**given, **{name: options[name] for name in LATER if name in options}}
    return Plan(config, outdir, given, run_dir, state)


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


def run_jointly(outdir, options, dry_run):
    """Trains as one of the processes that torchrun has started; the first makes the plan."""
    from stylegan2_mspe import distributed

    plan = make_plan(outdir, options, dry_run) if distributed.is_first() else None
    plan = distributed.share(plan and plan.to_send())
    if plan is not None:
        carry_out(plan)


def carry_out(plan):
    """Builds and trains, in each process; the first one alone reads and writes the run folder."""
    from stylegan2_mspe import checkpoint, distributed, run_folder, training_loop

    first, run_dir, state = distributed.is_first(), plan.run_dir, plan.state
    if run_dir is not None and state is None:
        state = distributed.share(checkpoint.newest_state(run_dir) if first else None)
    training = build(plan.config, state)
    if not first:
        training_loop.train(training, None, say=lambda line: None)
        return
    what = 'Training'
    if run_dir is not None:
        what = f'Resuming at {training.progress.nimg / 1000:g} kimg'
    run_dir = run_dir or run_folder.create(plan.outdir, plan.config.desc)
    record(run_dir, plan.config, plan.given)
    run(training, run_dir, what)


def newest_run(outdir):
    """(run folder, loaded state) of the newest run with a complete state."""
    from stylegan2_mspe import checkpoint, run_folder

    for _, run_dir in run_folder.runs(outdir):
        state = checkpoint.newest_state(run_dir)
        if state is not None:
            return run_dir, state
    raise ValueError(f'--resume=latest: found no run with a complete training state in {outdir}, expected '
                     '<id>-<name>/training-state-<kimg>.pt there')


def changed_config(recorded, given, options, run_dir):
    """The recorded config with what may change; ValueError for a wish that would make it another run."""
    from stylegan2_mspe.options import check, flag

    changes = {name: value for name, value in options.items() if name in CHANGEABLE}
    check({'data': given['data'], **changes})
    changes = {**{name: changes[name] for name in LATER if name in changes}, **divided(recorded, changes)}
    for name in options.keys() - {*CHANGEABLE, 'resume'}:
        if options[name] != given.get(name) and makes_another_run(given, name, options[name]):
            found = given.get(name, getattr(recorded, name, 'its default'))
            raise ValueError(f'{flag(name)}={options[name]}: {run_dir} was started with {found}; a resumed '
                             f'run may change only {", ".join(map(flag, CHANGEABLE))}')
    return dataclasses.replace(recorded, **changes)


def divided(recorded, changes):
    """How the pictures of a step are divided when a run goes on elsewhere: as before as far as possible.

    Raises ValueError where they can't be, or would be compared in other groups by D.
    """
    from stylegan2_mspe.options import share_of_device

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


def makes_another_run(given, name, value):
    """Whether a wish differs from what the run was started with, be it a wish then or a default."""
    if name == 'data':
        return os.path.abspath(value) != os.path.abspath(given['data'])
    if name == 'desc':
        return True
    before, after = resolve_options(given), resolve_options({**given, name: value})
    return before != dataclasses.replace(after, desc=before.desc)


def resolve_options(options, info=None):
    """The config of these options; `info` where the dataset has been looked at already."""
    from stylegan2_mspe.options import resolve

    info = info or dataset_info(options)
    return resolve(options, info, device=cli.pick_device(options.get('device', 'auto')).type)


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


def build(config, state=None):
    from stylegan2_mspe import checkpoint, distributed, training_loop

    now = checkpoint.arithmetic()
    if not distributed.is_first():
        return training_loop.build(config, state)
    for name, before in (state or {}).get('arithmetic', {}).items():
        if before != now[name]:
            click.echo(f'Warning: the run was started with {name}={before} and goes on with '
                       f'{name}={now[name]}, so that sums are rounded differently.', err=True)
    return training_loop.build(config, state)


def record(run_dir, config, options):
    from stylegan2_mspe import run_folder

    path = os.path.join(run_dir, run_folder.OPTIONS)
    run_folder.write_json(path, {**dataclasses.asdict(config), GIVEN: options})


def run(training, run_dir, what):
    """Trains with everything said going to log.txt too."""
    from dnnlib.util import Logger
    from stylegan2_mspe import training_loop
    from tools.meter import Meter

    config = training.config
    meter = Meter(config.kimg * 1000, sys.stderr)

    def say(line):
        meter.clear()
        print(line)

    with Logger(os.path.join(run_dir, 'log.txt'), file_mode='a', should_flush=True):
        say(f'{what}: {run_dir}')
        size = f'{config.resolution}x{config.resolution}'
        say(f'{len(training.dataset)} pictures {size} of {config.data_name}; {config.cfg}, pe {config.pe}, '
            f'batch {config.batch}, {config.kimg:g} kimg on '
            + (config.device if config.num_gpus == 1 else f'{config.num_gpus} x {config.device}')
            + ('' if config.aug == 'noaug' else f', augmented ({config.aug}, {config.augpipe})'))
        for note in training.notes:
            say(note)
        try:
            training_loop.train(training, run_dir, say=say, watch=meter.update)
        except OSError as error:    # a full disk does not say where
            error.filename = error.filename or run_dir
            raise
        finally:
            meter.clear()
        say(f'Done: {run_dir}')
