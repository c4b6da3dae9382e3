"""What is random in a training step: a function of the run's seed, the step and a sample's place in it.

Inside `part`, the numbers of all samples are drawn alike by every process and pass, and each keeps those of
its own samples; so a batch trains alike however it is divided, and a run that goes on needs no generator's
state. Inside `each`, they are a function of every sample's own seed, the same on every device. Outside, these
are torch's own functions.
"""

import contextlib
import math
import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from stylegan2_mspe.pe import anchored


class _Part:
    """Samples index, index + count, index + 2·count … of a batch."""

    def __init__(self, index: int, count: int, seed: int):
        self.index, self.count, self.seed = index, count, seed
        self.generators: dict[torch.device, torch.Generator] = {}

    def generator(self, device: torch.device) -> torch.Generator:
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self.generators[device]


class _Each:
    """Samples with a seed each; draws are counted."""

    def __init__(self, seeds: Sequence[int]):
        self.seeds, self.draws = torch.tensor(seeds, dtype=torch.int64), 0

    def bits(self, size: list[int], device: torch.device) -> torch.Tensor:
        """32 bits for each of the numbers [N, …] of the next draw."""
        assert size[0] == len(self.seeds), (size, len(self.seeds))
        self.draws += 1
        rows, columns = (torch.arange(length, device=device) for length in (math.prod(size[1:-1]), size[-1]))
        return anchored.hashes(self.seeds.to(device), self.draws, rows, columns).reshape(size)


_part: _Part | _Each | None = None


@contextlib.contextmanager
def _drawing(how: _Part | _Each) -> Iterator[None]:
    """Inside, the functions below draw so."""
    global _part
    _part = how
    try:
        yield
    finally:
        _part = None


@contextlib.contextmanager
def part(index: int, count: int, *numbers: int) -> Iterator[None]:
    """Draws for every `count`-th sample of a batch from `index` on, as the `numbers` (seed, step …) say.

    The process's own generators are seeded too, by these and `index`: what draws without the functions below
    depends on how the batch is divided, but on nothing that happened before.
    """
    seed_all(mixed(*numbers, 1 + index))
    with _drawing(_Part(index, count, mixed(*numbers, 0))):
        yield


def each(seeds: Sequence[int]) -> contextlib.AbstractContextManager[None]:
    """Draws for samples with a seed each (int64): alike on every device, in whatever batch they come.

    The k-th draw of a sample is another than its first; all have to ask for as many rows as there are seeds.
    """
    return _drawing(_Each(seeds))


def mixed(*numbers: int) -> int:
    """One seed of 63 bits for several numbers, none of them negative."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seed_all(seed: int) -> None:
    """Seeds the generators of Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2 ** 32)
    torch.manual_seed(seed)


def randn(size: list[int], **kwargs) -> torch.Tensor:
    """Normal numbers [N, …], one row for each sample of the part."""
    return _rows(torch.randn, size, **kwargs)


def rand(size: list[int], **kwargs) -> torch.Tensor:
    """Uniform numbers [N, …] from 0 to 1, one row for each sample of the part."""
    return _rows(torch.rand, size, **kwargs)


def shared() -> torch.Generator | None:
    """The CPU's generator for what all samples of the batch have in common; None = torch's own."""
    return _part.generator(torch.device('cpu')) if isinstance(_part, _Part) else None


def _rows(draw, size, device='cpu', **kwargs) -> torch.Tensor:
    if _part is None:
        return draw(size, device=device, **kwargs)
    if isinstance(_part, _Each):
        bits = _part.bits(size, torch.device(device))
        numbers = anchored.normal(bits) if draw is torch.randn else (bits >> 8).double() * 2. ** -24
        return numbers.to(kwargs.get('dtype') or torch.get_default_dtype())
    generator = _part.generator(torch.device(device))
    whole = draw([size[0] * _part.count, *size[1:]], generator=generator, device=device, **kwargs)
    return whole if _part.count == 1 else whole[_part.index::_part.count].contiguous()
