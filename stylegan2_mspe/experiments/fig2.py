"""Fig. 2: does a digit stay the same digit when it is moved? Similarity (Eq. C) after every shift.

The shifted picture's 32 x 32 patch is compared with the unshifted one's, in grey, with the stored noise left
where it is.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import images, plots, rendering, similarity

SHIFTS = tuple(range(33))               # pixels
DIRECTIONS = ('right', 'down')
SHOWN = (0, 4, 8, 16, 24, 32)           # shifts of the columns of digits
CLAIM = 'MS-PE keeps the digit at every shift; the baseline at none but whole cells of its 4x4 input (Fig. 2)'


@dataclasses.dataclass(frozen=True)
class Curve:
    """One network's similarity after each of SHIFTS, along one direction."""
    network: str
    direction: str
    mean: list[float]                   # over seeds, of per-image similarities
    error: list[float]                  # standard error of that mean


def measure(networks: Mapping[str, torch.nn.Module], seeds: Sequence[int],
            progress: Callable[[Iterable], Iterable] = iter) -> list[Curve]:
    """Similarity of each network's pictures of these seeds at every shift, round the trained size."""
    curves = []
    for name, G in networks.items():
        for direction in DIRECTIONS:
            shifts = similarity.along(direction, SHIFTS)
            values = similarity.shift_similarity(G, shifts, seeds, progress=progress)
            several = len(seeds) > 1
            error = values.std(axis=1, ddof=1) / np.sqrt(len(seeds)) if several else np.zeros(len(shifts))
            curves.append(Curve(name, direction, values.mean(axis=1).tolist(), error.tolist()))
    return curves


def summary(curve: Curve) -> str:
    """One line: the mean over all shifts but 0, the lowest, and where that is."""
    values = curve.mean[1:]
    lowest = int(np.argmin(values))
    return (f'{curve.network}, {curve.direction}: mean {np.mean(values):.3f}, '
            f'lowest {values[lowest]:.3f} at {SHIFTS[1:][lowest]} pixels')


def plot(curves: Sequence[Curve]) -> Image.Image:
    """The curves over the shift."""
    named = {f'{curve.network}, {curve.direction}': (SHIFTS, curve.mean) for curve in curves}
    return plots.line_plot(named, title='Similarity of a digit with itself after a shift',
                           x_label='shift, pixels', x_ticks=range(0, 33, 4),
                           y_label='similarity (Eq. C)', y_range=(0, 1))


def digits(networks: Mapping[str, torch.nn.Module], seeds: Sequence[int]) -> Image.Image:
    """Rows: the networks' pictures of these seeds; columns: shifts to the right and then down."""
    shifts = similarity.along('right', SHOWN) + similarity.along('down', SHOWN[1:])
    rows, labels = [], []
    for name, G in networks.items():
        ws = rendering.seed_ws(G, seeds)
        canvases = [rendering.request_canvas(G.img_resolution, shift=shift) for shift in shifts]
        rows += zip(*(rendering.render(G, ws, canvas) for canvas in canvases))
        labels += [f'{name}, seed {seed}' for seed in seeds]
    heads = [f'{dy} down' if dy else f'{dx} right' if dx else 'unshifted' for dy, dx in shifts]
    return images.labelled_grid(rows, labels, heads, 'The same latents, elsewhere')
