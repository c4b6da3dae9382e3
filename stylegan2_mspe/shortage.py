"""Running out of memory, told as one sentence: what did not fit where, and the option to change."""

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from stylegan2_mspe.config import TrainingConfig


def is_shortage(error: BaseException) -> bool:
    """Whether memory ran out. torch says so by a type of its own for GPUs, and by words for the CPU."""
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)
    return type(error).__name__ == 'OutOfMemoryError' or bool(
        re.search("out of memory|can't allocate memory|not enough memory|STATUS_ALLOC_FAILED", str(error)))


@contextlib.contextmanager
def explained(what: str, expected: str, device: 'torch.device') -> Iterator[None]:
    """Raises MemoryError that says what was to fit, and what is expected instead, where memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
        sentence = f'{what} did not fit in the memory of {device}{_sizes(device)}; expected {expected}'
        raise MemoryError(sentence) from error


def _sizes(device: 'torch.device') -> str:
    import psutil
    import torch

    from stylegan2_mspe.free_memory import free, in_gigabytes

    on_gpu = device.type == 'cuda'
    total = torch.cuda.mem_get_info(device)[1] if on_gpu else psutil.virtual_memory().total
    return f' ({in_gigabytes(total)}, of which {in_gigabytes(free(device))} are free now)'


def of_networks(config: 'TrainingConfig') -> tuple[str, str]:
    """What building them takes, and what to change."""
    widths = f'--cbase={config.channel_base} with --cmax={config.channel_max}'
    return f'{widths}: networks for {config.resolution}x{config.resolution} pixels', 'smaller ones'


def of_step(config: 'TrainingConfig') -> tuple[str, str]:
    """What a step takes, and what to change."""
    count, size = config.batch_gpu, f'{config.resolution}x{config.resolution}'
    what = f'--batch-gpu={count}: a pass of {count} picture{"s" * (count > 1)} of {size} pixels'
    smaller = f'a smaller one, such as --batch-gpu={count // 2}, which trains alike in more passes'
    return what, smaller if count > 1 else 'smaller networks by --cbase and --cmax'


def of_grid(count: int, resolution: int) -> tuple[str, str]:
    """What drawing part of a grid takes, and what to change."""
    return (f'{count} picture{"s" * (count > 1)} of {resolution}x{resolution} pixels of the grid',
            'a smaller --batch-gpu, which leaves more memory free')
