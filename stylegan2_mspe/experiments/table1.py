"""Table 1: pictures of several sizes from one network, by their distance (FID) from real ones of one size.

The paper trains at 256 pixels and draws at 1, 1.5 and 2 times that, on the same part of the world (Sec. 4.2).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import torch
from PIL import Image

from stylegan2_mspe import plots
from stylegan2_mspe.experiments.claims import Claim, good_networks, needs, settled
from stylegan2_mspe.experiments.markdown import table
from stylegan2_mspe.experiments.sheets import sheet
from stylegan2_mspe.quality import Quality
from stylegan2_mspe.rendering import trained_canvas

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-resize', 'mspe-plus')
SCALES = (1, 1.5, 2)
BY, AS_GOOD = 2, 1.1            # what is asked for: the lead over the others, and the baseline at 1x
SHOWN = (0, 2)                  # seeds of the pictures

Distance = Callable[[torch.nn.Module, tuple[int, int] | None], float]   # of (G, (height, width)), None = 1x


@dataclasses.dataclass(frozen=True)
class Row:
    """One network's FID at each of SCALES."""
    network: str
    sizes: list[tuple[int, int]]        # height and width, pixels
    fid: list[float]


def size_at(resolution: int, scale: float) -> tuple[int, int]:
    """(height, width) of the whole trained picture at a scale."""
    side = round(resolution * scale)
    return side, side


def measure(networks: Mapping[str, torch.nn.Module], distance: Distance) -> list[Row]:
    """Every network at every scale."""
    rows = []
    for name, G in networks.items():
        sizes = [size_at(G.img_resolution, scale) for scale in SCALES]
        rows.append(Row(name, sizes, [distance(G, None if scale == 1 else size)
                                      for scale, size in zip(SCALES, sizes)]))
    return rows


def summary(rows: Sequence[Row]) -> list[str]:
    """A Markdown table: networks by scales."""
    head = ['FID at', *(f'{scale:g} x' for scale in SCALES)]
    return table(head, [[row.network, *(f'{fid:.4g}' for fid in row.fid)] for row in rows])


def claims(rows: Sequence[Row], qualities: dict[str, Quality] | None) -> list[Claim]:
    """The paper's order, and by how much it is asked for here. qualities: of networks of digits."""
    fid = {row.network: dict(zip(SCALES, row.fid)) for row in rows}
    found = [good_networks(qualities)] if qualities else []
    for scale in SCALES[1:]:
        found.append(_best(fid, scale, qualities or {}))
        found.append(_below(f'random resizing makes MS-PE better still at {scale:g} times the trained size',
                            fid, scale, 'mspe-resize', 'mspe', 1, qualities or {}))
        found.append(_below(f'training without a border does more than that at {scale:g} times', fid, scale,
                            'mspe-plus', 'mspe-resize', 1, qualities or {}))
    return found + [_below(f'at the trained size MS-PE is about as good as the baseline (FID at most '
                           f'{AS_GOOD - 1:.0%} above)', fid, 1, 'mspe', 'baseline', AS_GOOD, qualities or {})]


def _best(fid: dict[str, dict[float, float]], scale: float, qualities: dict[str, Quality]) -> Claim:
    text = f'at {scale:g} times the trained size MS-PE is the best of three (FID lower by {BY} times)'
    labels = ('mspe', 'sspe', 'baseline')
    if not all(label in fid for label in labels):
        return needs(text, labels)
    ours, *others = (fid[label][scale] for label in labels)
    return settled(text, f'{ours:.4g} against {others[0]:.4g} of SS-PE and {others[1]:.4g} of the baseline',
                   ours * BY <= min(others), qualities, labels)


def _below(text: str, fid, scale: float, ours: str, theirs: str, factor: float,
           qualities: dict[str, Quality]) -> Claim:
    """FID `ours` at most `factor` times `theirs`; strictly lower where the factor is 1."""
    if not {ours, theirs} <= fid.keys():
        return needs(text, [ours, theirs])
    first, second = fid[ours][scale], fid[theirs][scale]
    holds = first < second if factor == 1 else first <= factor * second
    return settled(text, f'{first:.4g} against {second:.4g}', holds, qualities, [ours, theirs])


def plot(rows: Sequence[Row]) -> Image.Image:
    """FID against the scale, a curve for each network."""
    curves = {row.network: (SCALES, row.fid) for row in rows}
    highest = max(max(row.fid) for row in rows)
    return plots.line_plot(curves, title='Pictures of other sizes', x_label='size, 1 = trained',
                           y_label='FID', x_ticks=SCALES, y_range=(0, highest * 1.05 or 1))


def samples(networks: Mapping[str, torch.nn.Module]) -> Image.Image:
    """A row for each network and seed, a column for each scale."""
    return sheet(networks, SHOWN, lambda G: {
        f'{scale:g} x': trained_canvas(G).resized(*size_at(G.img_resolution, scale)) for scale in SCALES},
        'The same latents at other sizes')
