"""What a training command is asked for, before anything is built: a new run, or to go on with one."""

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from tools import cli

LATER = ('kimg', 'snap', 'workers', 'stop_on_nan', 'metrics')   # what a resumed run may do otherwise ...
DEVICES = ('gpus', 'batch_gpu')                                 # ... and where, with the same pictures a step
CHANGEABLE = LATER + DEVICES
GIVEN = 'options'                           # entry of training_options.json: what the user asked for


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
    path = os.path.join(run_dir, run_folder.OPTIONS)
    recorded = run_folder.read_json(path)
    given = recorded.pop(GIVEN)
    try:
        config = from_json(program.config, recorded)
    except ValueError as error:
        raise ValueError(f'--resume=latest: {path}: found {error}, expected those of a run of this command; '
                         '--outdir names the folder of its runs') from error
    config = changed_config(program, config, given, options, run_dir)
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
