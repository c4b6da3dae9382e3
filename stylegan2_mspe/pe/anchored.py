"""Gaussian noise that belongs to a place: a pure function of (seed, layer, world cell).

The same cell has the same noise in every tile, batch, process and device, so pictures that are drawn in parts
fit, and noise moves with the content. Counter-based: nothing is drawn in an order, and nothing is kept.
"""

import math

import torch

WORD = 0xffffffff               # hashes are 32-bit words, held in int64
GOLDEN = 0x9e3779b9
FARTHEST = 2.0 ** 62            # cells beyond it are this one: int64 ends at 2 ** 63
SALTS = (1, 2, 3, 4)            # of a row's two words and a column's two

Periods = tuple[int | None, int | None]


def anchored(seed: int | torch.Tensor, layer: int, y: torch.Tensor, x: torch.Tensor,
             periods: Periods = (None, None), dtype: torch.dtype = torch.float32,
             device: torch.device | str | None = None) -> torch.Tensor:
    """Standard normal noise [N or 1, 1, H, W] at the positions y and x, counted in cells of a level.

    seed: a whole number, or one for each sample, int64 [N]. layer: any whole number; other layers have other
    noise. y [H] or [N, H], x [W] or [N, W]: level coordinates (`Canvas.coordinates`), of any sign; between
    whole cells the noise of the four around is interpolated bilinearly and brought back to unit variance.
    periods (rows, columns): after how many cells the world begins again, None = never. device: of the noise,
    by default that of y; nobody waits for a GPU if positions are on the CPU. Computed there in float64, from
    hash bits that are equal everywhere, and rounded once to `dtype`.
    """
    seeds = torch.as_tensor(seed, dtype=torch.int64, device=device or y.device).reshape(-1)
    if y.ndim == 1 and x.ndim == 1:
        return _field(seeds, layer, y, x, periods).to(dtype)[:, None]
    count = max(len(seeds), *(vector.shape[0] for vector in (y, x) if vector.ndim == 2))
    seeds = seeds.expand(count)
    y, x = (vector.expand(count, -1) for vector in (y, x))
    return torch.cat([_field(seeds[n:n + 1], layer, y[n], x[n], periods).to(dtype)[:, None]
                      for n in range(count)])


def _field(seeds: torch.Tensor, layer: int, y: torch.Tensor, x: torch.Tensor,
           periods: Periods) -> torch.Tensor:
    """Noise [N, H, W] (float64) of seeds [N] at y [H] and x [W]."""
    (rows, near_y, far_y, weights_y), (cols, near_x, far_x, weights_x) = (
        [each if each is None else each.to(seeds.device) for each in _around(positions, period)]
        for positions, period in zip((y, x), periods))
    noise = normal(hashes(seeds, layer, rows, cols))
    if weights_y is not None:
        near, far = weights_y[:, :, None]
        noise = noise[:, near_y] * near + noise[:, far_y] * far
    if weights_x is not None:
        near, far = weights_x
        noise = noise[:, :, near_x] * near + noise[:, :, far_x] * far
    return noise


def _around(positions: torch.Tensor, period: int | None):
    """The whole cells that positions [K] need, each once, and how they are made of them.

    Returns (cells [U], indices [K] of the cell at or before each position, of the one after, weights [2, K]
    of the two). Where every position is a whole cell there is nothing to interpolate: the cells are those of
    the positions, in their order, and the rest is None.
    """
    positions = positions.detach().to(torch.float64).clamp(-FARTHEST, FARTHEST)
    before = positions.floor()
    beyond = positions - before
    before = before.to(torch.int64)
    wrap = (lambda cells: cells) if period is None else (lambda cells: cells.remainder(period))
    if not beyond.any():
        return wrap(before), None, None, None
    cells, where = torch.stack([wrap(before), wrap(before + 1)]).unique(return_inverse=True)
    weights = torch.stack([1 - beyond, beyond])
    return cells, *where, weights / weights.norm(dim=0)


def hashes(seeds: torch.Tensor, layer: int, rows: torch.Tensor, cols: torch.Tensor) -> torch.Tensor:
    """32 bits [N, H, W], in int64, of every cell: seeds [N], rows [H], cols [W], all int64.

    A row has two words of its own, and so has a column; a cell mixes the four. Cells of one row or one column
    share words, never all four.
    """
    state = torch.tensor(SALTS, device=seeds.device)[:, None]
    for number in (seeds, layer):
        state = _absorb(state, number)
    first_y, second_y = _absorb(state[:2, :, None], rows)[:, :, :, None]
    first_x, second_x = _absorb(state[2:, :, None], cols)[:, :, None, :]
    return _mix(first_y ^ first_x, second_y, second_x)


def _absorb(state: torch.Tensor, number: torch.Tensor | int) -> torch.Tensor:
    """The state after both halves of a 64-bit number; a negative one is its two's complement."""
    for half in (number & WORD, (number >> 32) & WORD):
        state = _mix(((state ^ half) + GOLDEN) & WORD)
    return state


def _mix(word: torch.Tensor, second: torch.Tensor | int = 0, third: torch.Tensor | int = 0) -> torch.Tensor:
    """A bijection of 32-bit words, in which every bit of the input turns half of those of the output.

    Shifts and multipliers are of C. Wellons' search (hash-prospector, public domain); both multipliers are
    below 2 ** 31, so no product leaves int64 and every device computes the same bits. Further words enter
    between its steps. Works in place on a copy.
    """
    word = word ^ (word >> 16)
    word *= 0x21f0aaad
    word &= WORD
    word ^= second
    word ^= word >> 15
    word *= 0x735a2d97
    word &= WORD
    word ^= third
    word ^= word >> 15
    return word


def normal(bits: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers (float64) of 32-bit words: the inverse of the normal distribution function.

    The words stand for the middles of 2 ** 32 equal steps from 0 to 1, so that no number is infinite; none
    is farther than 6.4 from 0.
    """
    uniform = bits.to(torch.float64)
    uniform += 0.5
    uniform *= 2.0 ** -31
    uniform -= 1
    return torch.erfinv(uniform).mul_(math.sqrt(2))
