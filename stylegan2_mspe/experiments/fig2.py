"""Fig. 2: does a digit stay the same digit when it is moved? Similarity (Eq. C) and legibility after shifts.

The shifted picture's 32x32 patch is compared with the unshifted one's, in grey, with the stored noise left
where it is; the baseline's constant is interpolated (Fig. G). Similarity rewards blur: beside it is the part
of the digits that the classifier still gives the class they had.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import plots, quality, similarity
from stylegan2_mspe.classifier import DigitClassifier
from stylegan2_mspe.experiments.claims import Claim, good_networks, needs, settled
from stylegan2_mspe.experiments.sheets import sheet
from stylegan2_mspe.experiments.standard_error import standard_error
from stylegan2_mspe.experiments.views import look, shifted_view
from stylegan2_mspe.pe import Canvas

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-plus')
SHIFTS = tuple(range(33))               # pixels
DIRECTIONS = ('right', 'down')
SHOWN = (0, 4, 8, 16, 24, 32)           # shifts of the columns of digits
CELLS = (16, 32)                        # whole cells of the 4x4 level: there the baseline moves its content
MARGIN, KEPT, MEAN, EVERYWHERE = 0.2, 0.9, 0.85, 0.9    # what is required, and what would be good


@dataclasses.dataclass(frozen=True)
class Curve:
    """One network after each of SHIFTS along one direction."""
    network: str
    direction: str
    mean: list[float]                   # over seeds, of per-image similarities
    error: list[float]                  # standard error of that mean
    kept: list[float]                   # part of the seeds that have the class they had unshifted
    kept_sure: list[float] | None       # of those alone that were surely a digit; None where none was


@dataclasses.dataclass(frozen=True)
class Result:
    curves: list[Curve]
    qualities: dict[str, quality.Quality]   # of the unshifted pictures, by network

    def values(self, network: str, field: str, without: Sequence[int] = ()) -> list[float]:
        """Of both directions, at every shift but 0 and those in `without`."""
        return [value for curve in self.curves if curve.network == network
                for shift, value in zip(SHIFTS, getattr(curve, field)) if shift and shift not in without]


def measure(networks: Mapping[str, torch.nn.Module], seeds: Sequence[int], classifier: DigitClassifier,
            progress: Callable[[Iterable], Iterable] = iter) -> Result:
    """Every network at every shift, round the trained size.

    `progress` wraps each loop over batches, one for each network and direction.
    """
    curves, qualities = [], {}
    for name, G in networks.items():
        for direction in DIRECTIONS:
            views = [shifted_view(G.img_resolution, *shift) for shift in similarity.along(direction, SHIFTS)]
            seen = look(G, views, seeds, classifier, progress)
            sure = (seen.standard.confidence > quality.SURE).cpu().numpy()
            kept_sure = seen.kept[:, sure].mean(axis=1).tolist() if sure.any() else None
            curves.append(Curve(name, direction, seen.similarity.mean(axis=1).tolist(),
                                standard_error(seen.similarity).tolist(), seen.kept.mean(axis=1).tolist(),
                                kept_sure))
            qualities[name] = quality.of_judgement(seen.standard)
    return Result(curves, qualities)


def claims(result: Result) -> list[Claim]:
    """What the paper says (Fig. 2), and how much of it is asked for here."""
    found = [good_networks(result.qualities), _advantage(result)]
    for label in ('mspe', 'mspe-plus'):
        mean, kept = (result.values(label, field) for field in ('mean', 'kept'))
        texts = (f'{label} keeps the class of {KEPT:.0%} of the digits at every shift',
                 f"{label}'s mean similarity over the shifts is {MEAN}",
                 f"{label}'s similarity is {EVERYWHERE} at every shift")
        if not mean:
            found += [needs(text, [label]) for text in texts]
            continue
        measured = ((f'{min(kept):.1%} at the worst', min(kept) >= KEPT),
                    (f'{np.mean(mean):.3f}', np.mean(mean) >= MEAN),
                    (f'{min(mean):.3f} at the worst', min(mean) >= EVERYWHERE))
        found += [settled(text, *pair, result.qualities, [label]) for text, pair in zip(texts, measured)]
    return found


def _advantage(result: Result) -> Claim:
    text = (f'MS-PE keeps the digit at every shift, the baseline only at whole cells of its 4x4 input '
            f'(the mean similarities over the shifts but {CELLS[0]} and {CELLS[1]} are {MARGIN} apart)')
    ours, theirs = (result.values(label, 'mean', CELLS) for label in ('mspe', 'baseline'))
    if not ours or not theirs:
        return needs(text, ['mspe', 'baseline'])
    ours, theirs = np.mean(result.values('mspe', 'mean')), np.mean(theirs)
    return settled(text, f'{ours:.3f} against {theirs:.3f}', ours - theirs >= MARGIN, result.qualities,
                   ['mspe', 'baseline'])


def summary(curve: Curve) -> str:
    """One line: the mean over all shifts but 0, the lowest, where that is, and the class."""
    values = curve.mean[1:]
    lowest = int(np.argmin(values))
    sure = ('' if curve.kept_sure is None else
            f', by {min(curve.kept_sure[1:]):.1%} of what was surely a digit')
    return (f'{curve.network}, {curve.direction}: mean {np.mean(values):.3f}, '
            f'lowest {values[lowest]:.3f} at {SHIFTS[1:][lowest]} pixels; '
            f'class kept by {min(curve.kept[1:]):.1%} or more{sure}')


def plot(result: Result) -> Image.Image:
    """Similarity above, legibility below; shifts to the right on the left, down on the right."""
    panels = []
    for field, label in (('mean', 'similarity (Eq. C)'), ('kept', 'class kept, part of the seeds')):
        panels.append([plots.line_plot(
            {curve.network: (SHIFTS, getattr(curve, field))
             for curve in result.curves if curve.direction == direction},
            title=f'Shifted {direction}', x_label='shift, pixels', x_ticks=range(0, 33, 4), y_label=label,
            y_range=(0, 1)) for direction in DIRECTIONS])
    return plots.panels(panels)


def digits(networks: Mapping[str, torch.nn.Module], seeds: Sequence[int]) -> Image.Image:
    """Rows: the networks' pictures of these seeds; columns: shifts to the right and then down."""
    shifts = similarity.along('right', SHOWN) + similarity.along('down', SHOWN[1:])
    heads = [f'{dy} down' if dy else f'{dx} right' if dx else 'unshifted' for dy, dx in shifts]
    return sheet(networks, seeds, lambda G: {
        head: Canvas.identity(G.img_resolution).shifted(*shift) for head, shift in zip(heads, shifts)},
        'The same latents, elsewhere')
