"""The end of a tick, alike for all that is trained: what has gone wrong is said, and what is due is saved."""

from collections.abc import Callable, Iterable

import torch

from stylegan2_mspe.ticks import Ticks
from stylegan2_mspe.trouble import Trouble


class Stopped(ValueError):
    """--stop-on-nan has ended a run; the message is a sentence."""


def end_tick(ticks: Ticks, trouble: Trouble, tensors: dict[str, Iterable[torch.Tensor]], *, due: bool,
             stop_on_nan: bool, save: Callable[[], None], say: Callable[[str], None],
             augment: float | None = None, variety: float | None = None) -> None:
    """Closes a tick that has been stopped, and begins the next.

    tensors: what has to be finite, by what to call it. due, save: a snapshot, which is also written where the
    run ends; it leaves weights out that are not finite. augment, variety: as `Ticks.close` takes them. Raises
    Stopped, after the snapshot, where the run has gone wrong and should end then.
    """
    progress = ticks.progress
    found = trouble.close_tick(progress.tick, ticks.collected, tensors, variety)
    ticks.close(augment, variety)
    for sentence in found:
        say(f'Warning: {sentence}.')
    stop = stop_on_nan and trouble.since
    if due or stop:
        save()
        if not trouble.finite:
            say('Warning: no network and no state is written, as these weights are of no use; those before '
                'stay.')
    if stop:
        kinds = ' and '.join(f'{kind} since tick {tick}' for kind, tick in stop.items())
        raise Stopped(f'--stop-on-nan: {kinds}, so the run ended at kimg {progress.nimg / 1000:g}; '
                      '--resume=latest --stop-on-nan=0 goes on from its last good state')
    ticks.begin()
