"""Fig. A: a digit at successive shifts, down and to the right at once, as a grid.

Beside the picture: at each place of the grid, the similarity to the unshifted digit and the part of the seeds
that keep their class.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import images, quality, rendering
from stylegan2_mspe.classifier import DigitClassifier
from stylegan2_mspe.experiments.claims import Claim, good_networks, needs, settled
from stylegan2_mspe.experiments.views import look, shifted_view

ROLES = ('baseline', 'mspe', 'mspe-plus')
STEPS = (0, 6, 12, 18, 24, 30)  # pixels, down and right
KEPT = 0.9
CLAIM = f'MS-PE draws the same digit at all places of the grid ({KEPT:.0%} of the seeds keep their class)'


@dataclasses.dataclass(frozen=True)
class Table:
    """One network at every place of the grid: rows are shifts down, columns shifts to the right."""
    network: str
    similarity: list[list[float]]       # mean over the seeds
    kept: list[list[float]]             # part of the seeds


def measure(networks: Mapping[str, torch.nn.Module], seeds: Sequence[int], classifier: DigitClassifier,
            progress: Callable[[Iterable], Iterable] = iter) -> list[Table]:
    """A table for each network; `progress` wraps each network's loop over batches."""
    shape, tables = (len(STEPS), len(STEPS)), []
    for name, G in networks.items():
        views = [shifted_view(G.img_resolution, dy, dx) for dy in STEPS for dx in STEPS]
        seen = look(G, views, seeds, classifier, progress)
        alike, kept = (values.mean(axis=1).reshape(shape).tolist() for values in (seen.similarity, seen.kept))
        tables.append(Table(name, alike, kept))
    return tables


def summary(table: Table) -> str:
    """One line: means and lows over the places, without the unshifted one."""
    alike, kept = (np.ravel(values)[1:] for values in (table.similarity, table.kept))
    return (f'{table.network}: similarity {alike.mean():.3f} in the mean, {alike.min():.3f} at the worst '
            f'place; class kept by {kept.mean():.1%} in the mean, {kept.min():.1%} at the worst')


def claims(tables: Sequence[Table], qualities: dict[str, quality.Quality]) -> list[Claim]:
    """What the paper shows, as a number."""
    found = {table.network: table for table in tables}
    if 'mspe' not in found:
        return [good_networks(qualities), needs(CLAIM, ['mspe'])]
    lowest = float(np.min(found['mspe'].kept))
    return [good_networks(qualities),
            settled(CLAIM, f'{lowest:.1%} at the worst place', lowest >= KEPT, qualities, ['mspe'])]


def picture(networks: Mapping[str, torch.nn.Module], seed: int = 0) -> Image.Image:
    """One latent of each network at every place of the grid, the grids below each other."""
    rows, labels = [], []
    for name, G in networks.items():
        ws = rendering.seed_ws(G, [seed])
        for dy in STEPS:
            canvases = [rendering.request_canvas(G.img_resolution, shift=(dy, dx)) for dx in STEPS]
            rows.append([rendering.render(G, ws, canvas)[0] for canvas in canvases])
            labels.append(f'{name}, {dy} down')
    return images.labelled_grid(rows, labels, [f'{dx} right' for dx in STEPS], f'Seed {seed}, elsewhere')
