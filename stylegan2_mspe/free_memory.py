"""How much memory is free on a device, and how many pictures at a time it is enough for."""

import math
import pathlib

import torch

USABLE = 0.7            # the part of what is free that a rendering may take


def free(device: torch.device | str) -> int:
    """Bytes that are free now on the device."""
    device = torch.device(device)
    if device.type == 'cuda':
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept    # which torch takes again
    import psutil
    return min(psutil.virtual_memory().available, _container_memory())


def usable(device: torch.device | str) -> int:
    """Bytes that a rendering may take now on the device."""
    return int(free(device) * USABLE)


def batch_that_fits(needed: int, device: torch.device | str, what: str, most: int) -> int:
    """How many pictures of `needed` bytes each to make at a time, 1…most.

    Raises ValueError where not even one fits. `what` begins its sentence, as in '--canvas=1x1: a picture'.
    """
    room = usable(device)
    if needed > room:
        raise ValueError(f'{what} takes about {in_gigabytes(needed)} to render, and {in_gigabytes(room)} are '
                         'free; expected a smaller one')
    return max(1, min(most, room // max(needed, 1)))


def in_gigabytes(count: int) -> str:
    """'2.1 GB'"""
    return f'{count / 1e9:.3g} GB' if count < 1e15 else f'10^{int(math.log10(count)) - 9} GB'


def _container_memory() -> float:
    """Bytes left under the limit of this process's control group (a container's), infinite without one."""
    group = pathlib.Path('/sys/fs/cgroup')
    try:
        limit, used = (int((group / name).read_text()) for name in ('memory.max', 'memory.current'))
        statistics = dict(line.split() for line in (group / 'memory.stat').read_text().splitlines())
        return limit - used + int(statistics['file'])   # cached files give way
    except (OSError, ValueError, KeyError):             # no such thing on this system, or the limit is 'max'
        return math.inf
