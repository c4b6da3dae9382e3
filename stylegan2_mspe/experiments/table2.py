"""Table 2: how good pictures of the trained size are: FID, precision and recall.

Precision and recall are by k nearest neighbours (Kynkäänniemi et al. 2019, k = 3); the paper takes those of
Sajjadi et al. 2018, so that only its order can be compared.
"""

import dataclasses
from collections.abc import Sequence

from PIL import Image

from stylegan2_mspe import plots
from stylegan2_mspe.experiments.claims import Claim, of_two
from stylegan2_mspe.experiments.markdown import table
from stylegan2_mspe.quality import Quality

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-resize', 'mspe-plus')
AS_GOOD = 1.1                   # FID over the baseline's that is asked for here
AS_OFTEN = 0.05                 # precision and recall below the baseline's, likewise


@dataclasses.dataclass(frozen=True)
class Row:
    """One network at its trained size, in the order of the metrics fid and pr3."""
    network: str
    fid: float
    precision: float
    recall: float


def summary(rows: Sequence[Row]) -> list[str]:
    """A Markdown table."""
    cells = [[row.network, f'{row.fid:.4g}', f'{row.precision:.3f}', f'{row.recall:.3f}'] for row in rows]
    return table(['', 'FID', 'precision', 'recall'], cells)


def claims(rows: Sequence[Row], qualities: dict[str, Quality] | None) -> list[Claim]:
    """That explicit positions cost nothing. qualities: of networks of digits."""
    return of_two(rows, ('mspe', 'baseline'),
                  (f'MS-PE draws about as well as the baseline (FID at most {AS_GOOD - 1:.0%} above)',
                   f'as precisely and of as many kinds (precision and recall at most {AS_OFTEN} below)'),
                  _compared, qualities)


def _compared(ours: Row, theirs: Row) -> list[tuple[str, bool]]:
    fid = f'{ours.fid:.4g} against {theirs.fid:.4g}'
    rates = (f'{ours.precision:.3f} and {ours.recall:.3f} against {theirs.precision:.3f} and '
             f'{theirs.recall:.3f}')
    kept = min(ours.precision - theirs.precision, ours.recall - theirs.recall) >= -AS_OFTEN
    return [(fid, ours.fid <= AS_GOOD * theirs.fid), (rates, kept)]


def plot(rows: Sequence[Row]) -> Image.Image:
    """Precision against recall, a dot for each network."""
    dots = {f'{row.network}, FID {row.fid:.4g}': ([row.recall], [row.precision]) for row in rows}
    return plots.line_plot(dots, title='At the trained size', x_label='recall', y_label='precision',
                           x_range=(0, 1), y_range=(0, 1))
