"""How far networks are from being indifferent to place: EQ-T, round the circle and on a plane.

Round the circle, as the paper shifts, zero padding still says where the border is; on a plane it says
nothing. The difference of the two is what padding leaks; a network trained without it should have none.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from PIL import Image

from stylegan2_mspe import images, rendering
from stylegan2_mspe.experiments.claims import Claim, of_two
from stylegan2_mspe.experiments.markdown import table
from stylegan2_mspe.metrics import equivariance
from stylegan2_mspe.quality import Quality

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-plus')
LEAD, AS_GOOD = 6, 1.1          # dB of EQ-T above MS-PE, and FID over its, that are asked of mspe-plus
SHIFT = (5.5, -3.25)            # sixty-fourths of the trained size, of the picture
SEED = 2


@dataclasses.dataclass(frozen=True)
class Row:
    """One network: EQ-T in dB, whole shifts and fractional ones, and FID at the trained size.

    In the order of the metrics eqt_int, eqt_frac and fid.
    """
    network: str
    whole: float
    whole_plane: float
    fraction: float
    fraction_plane: float
    fid: float


def summary(rows: Sequence[Row]) -> list[str]:
    """A Markdown table."""
    cells = [[row.network, *(f'{dB:.2f}' for dB in (row.whole, row.fraction, row.whole_plane,
                                                    row.fraction_plane)), f'{row.fid:.4g}'] for row in rows]
    return table(['EQ-T, dB', 'whole pixels', 'fractions', 'whole, plane', 'fractions, plane', 'FID'], cells)


def claims(rows: Sequence[Row], qualities: dict[str, Quality] | None) -> list[Claim]:
    """What is asked of the paper's network and of what should be better. qualities: of networks of digits."""
    return of_two(rows, ('mspe-plus', 'mspe'),
                  (f'training without a border makes MS-PE at least {LEAD} dB more equivariant (whole '
                   'pixels, round the circle)', f'at about the same FID (at most {AS_GOOD - 1:.0%} above)'),
                  _compared, qualities)


def _compared(plus: Row, mspe: Row) -> list[tuple[str, bool]]:
    return [(f'{plus.whole:.2f} against {mspe.whole:.2f} dB', plus.whole - mspe.whole >= LEAD),
            (f'{plus.fid:.4g} against {mspe.fid:.4g}', plus.fid <= AS_GOOD * mspe.fid)]


def picture(networks: Mapping[str, torch.nn.Module]) -> Image.Image:
    """For each network, at either place: a picture, itself shifted, drawn shifted, and the difference."""
    rows, labels = [], []
    for name, G in networks.items():
        shifts = torch.tensor([SHIFT]) * G.img_resolution / 64
        for place, how in equivariance.PLACES.items():
            still, moved = equivariance.draw_pair(G, rendering.seed_ws(G, [SEED]), shifts, place)
            expected, known = equivariance.shifted(still, shifts, how['wrap'])
            expected, shown = (torch.where(known[:, None], each, -1) for each in (expected, moved.double()))
            rows.append([each[0] for each in (still, expected, moved, (shown - expected).abs() - 1)])
            labels.append(f'{name}, {place}')
    down, right = SHIFT
    return images.labelled_grid(rows, labels, ['unmoved', 'moved by a filter', 'drawn there', 'difference'],
                                f'Moved by {down:g}, {right:g} sixty-fourths of the size, seed {SEED}')
