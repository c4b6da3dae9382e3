"""Training states: everything a run needs to go on as if it had never stopped. Knows nothing of any network.

There are no random generators in it: what is random in a step is a function of seed and step (chance.py).
A state is tensors and plain values only and read by torch.load(weights_only=True): loading one runs no code.
"""

import contextlib
import os
import re

import torch

from stylegan2_mspe.files import atomic_write
from stylegan2_mspe.ops import native

FORMAT = 1
NAME = re.compile(r'training-state-(\d{6,})\.pt')


def state_path(run_dir: str, kimg: int) -> str:
    return os.path.join(run_dir, f'training-state-{kimg:06d}.pt')


def save_state(path: str, *, modules: dict, optimizers: dict, values: dict) -> None:
    """Writes one state: state_dicts of `modules` and `optimizers`, and plain `values`.

    Nothing is copied first, so the caller must not train meanwhile. Raises OSError where it can't be written.
    """
    state = dict(
        format=FORMAT,
        modules={name: dict(module.state_dict()) for name, module in modules.items()},
        optimizers={name: optimizer.state_dict() for name, optimizer in optimizers.items()},
        values=values,
        arithmetic=arithmetic())
    with atomic_write(path) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:   # after a failed write torch stumbles over closing its archive
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def arithmetic() -> dict:
    """What rounding depends on besides the numbers: a run is repeated bit for bit only where it is the same.

    Sums are split over threads, and the compiled CPU kernels add in another order than their plain versions.
    """
    return dict(threads=torch.get_num_threads(), kernels=native.library() is not None)


def load_state(path: str) -> dict:
    """Reads what `save_state` wrote, on the CPU. Raises ValueError for a file that is something else."""
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:  # whatever torch and zip make of a broken file
        raise ValueError(f'{path}: not a complete training state ({type(error).__name__})') from error
    if not isinstance(state, dict) or state.get('format') != FORMAT:
        raise ValueError(f'{path}: found something else, expected a training state of format {FORMAT}')
    return state


def restore(state: dict, *, modules: dict, optimizers: dict) -> None:
    """Puts a loaded state into networks and optimizers of the same shapes."""
    for name, module in modules.items():
        module.load_state_dict(state['modules'][name])
    for name, optimizer in optimizers.items():
        optimizer.load_state_dict(state['optimizers'][name])


def state_files(run_dir: str) -> list[str]:
    """The states of a run, oldest first."""
    names = [name for name in os.listdir(run_dir) if NAME.fullmatch(name)]
    names.sort(key=lambda name: int(NAME.fullmatch(name)[1]))
    return [os.path.join(run_dir, name) for name in names]


def keep_newest(run_dir: str, count: int = 2) -> None:
    """Removes older states, which are large; to be called when the newest is complete."""
    for path in state_files(run_dir)[:-count]:
        with contextlib.suppress(OSError):
            os.remove(path)


def newest_state(run_dir: str) -> dict | None:
    """The newest state that can be read, None where a run has none."""
    for path in reversed(state_files(run_dir)):
        with contextlib.suppress(ValueError, OSError):
            return load_state(path)
    return None
