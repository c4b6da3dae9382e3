"""How a command of several processes runs: started here, one for each device, or each by torchrun."""

import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable

from tools import cli

# What torch says of a process that does not answer any more; it has no type for it.
LOST = re.compile('gloo|nccl|peer|connection|socket|timed? ?out|broken pipe|store', re.IGNORECASE)


def started_by_torchrun(options: dict):
    """This process's distributed.World, None where it was started alone; sets `gpus` to how many there are.

    Raises ValueError where --gpus asks for another number.
    """
    if not {'RANK', 'WORLD_SIZE'} & set(os.environ):
        return None
    os.environ.setdefault('TORCH_CPP_LOG_LEVEL', 'ERROR')   # or a lost connection prints pages
    from stylegan2_mspe import distributed

    world = distributed.from_environment()
    if world is None:
        return None
    if options.get('gpus', world.size) != world.size:
        raise ValueError(f'--gpus={options["gpus"]}: found {world.size} processes (WORLD_SIZE, as torchrun '
                         'sets it), expected the same number, or --gpus left out')
    options['gpus'] = world.size
    return world


def run(count: int, work: Callable, *arguments) -> None:
    """Runs work(*arguments) in this process, or in `count` new ones that have joined each other."""
    if count == 1:
        work(*arguments)
        return
    from stylegan2_mspe.launch import Ended, launch

    try:
        launch(count, member, False, work, *arguments)
    except Ended as error:
        print(error, file=sys.stderr)
        sys.exit(error.code)


def member(world, store, says: bool, work: Callable, *arguments) -> None:
    """Runs work(*arguments) as one of the processes that `world` counts, and ends this one if that fails.

    says: whether it prints what it ends with, if it is the first to end; else whoever started it does.
    """
    from stylegan2_mspe import distributed
    from stylegan2_mspe.launch import leave

    _behave(world.rank == 0)
    try:
        with distributed.joined(world, store):
            work(*arguments)
    except BaseException as error:
        failure = _failure(error, world, distributed)
        if distributed.tell(failure) and says and failure.text:
            print(failure.text, file=sys.stderr)
        leave(failure.code)
    leave(0)


def _behave(first: bool) -> None:
    """The first process ends in order where it is asked to, and warns; the others just end, in silence."""
    if first:
        cli.behave()
    else:
        from torch_utils import custom_ops

        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        warnings.simplefilter('ignore')
        custom_ops.verbosity = 'none'       # it waits for the first one's kernels, or loads them


def _failure(error: BaseException, world, distributed):
    ending = cli.ending(error)
    if ending is not None:
        return distributed.Failure(*ending)
    if isinstance(error, RuntimeError) and LOST.search(str(error)):
        place = r'^\[\S*\] '    # in the source of torch
        reason = re.sub(place, '', ' '.join(str(error).split())).split('. ')[0]
        sentence = (f'Error: process {world.rank} of {world.size} lost another one ({reason}); '
                    '--resume=latest goes on from the newest state')
        return distributed.Failure(1, sentence, lost=True)
    return distributed.Failure(1, ''.join(traceback.format_exception(error)).rstrip())
