"""Fig. 1 and B: where do digits go when they are asked for elsewhere?

The authors' page says of shifted samples that the original's "are either destructive or stuck to the center",
and of MS-PE's it shows that they move. So each shifted digit that could be read has one of four fates: it
moved, it is stuck where the training has its digits, it is another digit now, or it is destroyed. B asks for
many more places, all round the circle, and shows more latents; the supplement's own choice is not known here.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import quality
from stylegan2_mspe.classifier import DigitClassifier
from stylegan2_mspe.digits import RESOLUTION
from stylegan2_mspe.experiments.claims import Claim, needs, settled
from stylegan2_mspe.experiments.markdown import table
from stylegan2_mspe.experiments.sheets import sheet
from stylegan2_mspe.experiments.views import look, shifted_view, trained_box
from stylegan2_mspe.pe import Canvas

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-plus')
SHIFTS = ((0, 8), (8, 0), (0, 24), (24, 0), (24, 24))   # down, right, in pixels; no whole cells of 4x4
PLACES = 24                                             # of Fig. B
SHOWN, SHOWN_MORE = (0, 1, 2, 3), tuple(range(8))       # seeds in the pictures
COLUMNS = 8                                             # places in the picture of Fig. B
MOST = 0.5


@dataclasses.dataclass(frozen=True)
class Fate:
    """What became of one network's digits after one shift."""
    network: str
    shift: tuple[int, int]
    digits: int                         # seeds that are surely a digit unshifted, of which the rest speaks
    across: bool                        # whether the quarter with the digit goes across the border
    moved: float                        # part that is that digit, surely, where the shift should have it
    stuck: float                        # part that is it where the training has its digits
    changed: float                      # part that is surely another digit, there or here
    destroyed: float                    # the others


def scattered(places: int, resolution: int = RESOLUTION) -> tuple[tuple[int, int], ...]:
    """Places all round the circle, uniformly at random, no whole cells of the coarsest level on both axes."""
    random, cell, found = np.random.RandomState(0), resolution // 4, []
    while len(found) < places:
        shift = tuple(random.randint(0, resolution, 2).tolist())
        if shift[0] % cell or shift[1] % cell:
            found.append(shift)
    return tuple(found)


def measure(networks: Mapping[str, torch.nn.Module], shifts: Sequence[tuple[int, int]], seeds: Sequence[int],
            classifier: DigitClassifier, progress: Callable[[Iterable], Iterable] = iter) -> list[Fate]:
    """Every network after every shift; `progress` wraps each network's loop over batches."""
    found = []
    for name, G in networks.items():
        R = G.img_resolution
        views = [shifted_view(R, *shift, trained_box(R)) for shift in shifts]
        seen = look(G, views, seeds, classifier, progress)
        sure = seen.standard.confidence.cpu().numpy() > quality.SURE
        for index, shift in enumerate(shifts):
            there, home = 2 * index, 2 * index + 1
            went = seen.similarity[there] >= seen.similarity[home]      # the two boxes may overlap
            where = np.where(went, there, home), np.arange(len(seeds))
            kept, legible = seen.kept[where], seen.sure[where]
            parts = (legible & kept & went, legible & kept & ~went, legible & ~kept, ~legible)
            shares = [float(part[sure].mean()) if sure.any() else 0.0 for part in parts]
            found.append(Fate(name, shift, int(sure.sum()), max(shift) > R // 2, *shares))
    return found


def means(fates: Sequence[Fate], across: bool = False) -> dict[str, tuple[float, float, float, float]]:
    """By network, over the shifts inside the picture or across its border: the parts that moved, are stuck,
    are another digit, are destroyed.
    """
    shares = {}
    for each in fates:
        if each.across == across:
            shares.setdefault(each.network, []).append(
                (each.moved, each.stuck, each.changed, each.destroyed))
    return {name: tuple(np.mean(rows, axis=0).tolist()) for name, rows in shares.items()}


def summary(fates: Sequence[Fate]) -> list[str]:
    """A Markdown table: networks by fates."""
    rows = [[f'{name}{where}', *(f'{share:.0%}' for share in shares)]
            for across, where in ((False, ''), (True, ', across the border'))
            for name, shares in means(fates, across).items()]
    return table(['of the digits, over the shifts', 'moved', 'stuck', 'another digit', 'destroyed'], rows)


def claims(fates: Sequence[Fate], qualities: dict[str, quality.Quality]) -> list[Claim]:
    """What is said and shown of both, asked of the shifts inside the picture."""
    moved = {name: shares[0] for name, shares in means(fates).items()}
    asked = (("most of the baseline's digits do not move, but are stuck, destroyed, or others (Fig. 1)",
              ['baseline'], lambda theirs: theirs < MOST),
             ("most of MS-PE's digits move and stay what they are (Fig. 1)", ['mspe'],
              lambda ours: ours > MOST),
             ("more of MS-PE's digits move than of the baseline's", ['mspe', 'baseline'],
              lambda ours, theirs: ours > theirs),
             ('training without a border makes that more, which is asked here', ['mspe-plus', 'mspe'],
              lambda plus, ours: plus > ours))
    found = []
    for text, labels, holds in asked:
        missing = [label for label in labels if label not in moved]
        if missing:
            found.append(needs(text, missing))
            continue
        shares = [moved[label] for label in labels]
        said = ', '.join(f'{share:.0%} of {label} moved' for label, share in zip(labels, shares))
        found.append(settled(text, said, holds(*shares), qualities, labels))
    return found


def picture(networks: Mapping[str, torch.nn.Module], shifts: Sequence[tuple[int, int]],
            seeds: Sequence[int]) -> Image.Image:
    """The same latents, unshifted and at the other places."""
    return sheet(networks, seeds, lambda G: {'unshifted': None, **{
        f'{dy} down, {dx} right': Canvas.identity(G.img_resolution).shifted(dy, dx) for dy, dx in shifts}},
        'The same latents, elsewhere')
