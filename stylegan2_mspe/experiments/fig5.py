"""Fig. 5 and C: can digits be inverted where none was ever seen? Real ones, elsewhere, into every network.

A digit is projected into W with the stored noise at the place where it is seen. What counts is the patch that
holds it: on whole pictures an answer that is black all over scores about 22 dB. C shows all ten classes at
other places.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import digits, images, quality
from stylegan2_mspe.classifier import DigitClassifier, as_patches
from stylegan2_mspe.experiments import markdown
from stylegan2_mspe.experiments.claims import Claim, good_networks, needs, settled
from stylegan2_mspe.experiments.found_places import SIDE, Search, found_claim
from stylegan2_mspe.experiments.held_out import Digits
from stylegan2_mspe.experiments.standard_error import standard_error
from stylegan2_mspe.inversion import inverting, losses
from stylegan2_mspe.inversion.place import Place
from stylegan2_mspe.inversion.projection import Projection, Recipe, draw
from stylegan2_mspe.similarity import grey, patch_at

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-plus')
SEARCHED = ('mspe', 'mspe-plus')        # of these also places, which the others do not have at every level
SHIFTS = (0, 8, 16, 24, 32)             # right and down, pixels
ZOOM = 2.0                              # about the top-left corner
SHOWN, SHOWN_MORE = 3, 10               # digits in the pictures
LOSS = 'pixel'                          # alike for all networks
WITHIN, BEHIND = 1.0, 2.0               # dB: what is asked for

Progress = Callable[[str], Callable[[Iterable], Iterable]]


@dataclasses.dataclass(frozen=True)
class Score:
    """One network at one place."""
    network: str
    place: str
    psnr: float                         # mean, dB, in the patch
    error: float                        # standard error of that mean
    agreement: float                    # part of the digits that the classifier still reads as they are
    values: list[float]                 # of each digit


# ----- at known places --------------------------------------------------------------------------------------


class Spot(NamedTuple):
    """Where a digit is seen: moved by whole pixels, or enlarged about the top-left corner."""
    down: int = 0
    right: int = 0
    zoom: float = 1.0


PLACES = {'standard': Spot(), **{f'{shift} px': Spot(shift, shift) for shift in SHIFTS[1:]},
          f'zoom {ZOOM:g}': Spot(zoom=ZOOM)}
MORE = {'standard': Spot(), '12 right': Spot(0, 12), '32 right': Spot(0, 32), '12 down': Spot(12, 0),
        '32 down': Spot(32, 0), '8 down, 28 right': Spot(8, 28), '28 down, 8 right': Spot(28, 8),
        'zoom 4/3': Spot(zoom=4 / 3)}       # of Fig. C


def targets_at(found: Digits, spot: Spot) -> torch.Tensor:
    """The digits seen there, [N, 3, 64, 64] in [-1, 1]."""
    pictures = np.roll(found.pictures, (spot.down, spot.right), axis=(1, 2))
    if spot.zoom != 1:
        side = round(digits.RESOLUTION / spot.zoom)
        size = (digits.RESOLUTION, digits.RESOLUTION)
        pictures = np.stack([Image.fromarray(picture[:side, :side]).resize(size, Image.Resampling.BICUBIC)
                             for picture in pictures])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def patches_at(pictures: torch.Tensor, spot: Spot) -> torch.Tensor:
    """What holds the digit [N, C, h, w]."""
    size = int(SIDE * spot.zoom)
    channels = [patch_at(channel, spot.down, spot.right, size) for channel in pictures.unbind(dim=1)]
    return torch.stack(channels, dim=1)


def psnr(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio of each picture [N, C, H, W] in [-1, 1], shown in 256 levels' range: [N]."""
    error = (found.clamp(-1, 1) - wanted).square().flatten(1).mean(dim=1)
    return 10 * torch.log10(4 / error)


def project_at(G: torch.nn.Module, targets: torch.Tensor, spot: Spot, recipe: Recipe,
               progress: Callable[[Iterable], Iterable]) -> torch.Tensor:
    """The projections [N, 3, 64, 64] of targets seen there, in W with the stored noise."""
    count, size = len(targets), tuple(targets.shape[2:])
    wraps = (spot.zoom == 1, spot.zoom == 1)
    place = Place.of(G.img_resolution, size, [[float(spot.down), float(spot.right)]] * count,
                     [spot.zoom] * count, wraps, targets.device)
    wish = inverting.Wish(recipe=recipe)
    projection = inverting.begin(G, targets, losses.make_loss(LOSS, targets), place, wish)
    run(projection, progress)
    with torch.no_grad():
        return draw(G, projection.best.ws, place, fixed=True)


def run(projection: Projection, progress: Callable[[Iterable], Iterable]) -> None:
    for _ in progress(range(projection.recipe.steps)):
        projection.step()


def measure(networks: Mapping[str, torch.nn.Module], found: Digits, classifier: DigitClassifier,
            recipe: Recipe, progress: Progress = lambda label: iter, places: Mapping[str, Spot] = PLACES,
            shown: int = SHOWN) -> tuple[list[Score], Image.Image]:
    """Every network at every place, and the picture of some; `progress(label)` wraps a loop over steps."""
    scores, drawn = [], [('target', [targets_at(found, spot) for spot in places.values()])]
    for name, G in networks.items():
        device, projected = next(G.parameters()).device, []
        for (place, spot), targets in zip(places.items(), drawn[0][1]):
            targets = targets.to(device)
            pictures = project_at(G, targets, spot, recipe, progress(f'{name}, {place}'))
            scores.append(score(name, place, pictures, targets, found.labels, classifier, spot))
            projected.append(pictures.cpu())
        drawn.append((name, projected))
    return scores, sheet(drawn, list(places), min(shown, len(found.labels)))


def sheet(drawn: Sequence[tuple[str, Sequence[torch.Tensor]]], places: Sequence[str],
          shown: int) -> Image.Image:
    """For each digit a row of each kind, by its name, with a column for each place."""
    rows = [[pictures[index] for pictures in each] for index in range(shown) for _, each in drawn]
    return images.labelled_grid(rows, [name for name, _ in drawn] * shown, places,
                                'Real digits, projected where they are')


def score(name: str, place: str, pictures: torch.Tensor, targets: torch.Tensor, labels: np.ndarray,
          classifier: DigitClassifier, spot: Spot) -> Score:
    patches = patches_at(pictures, spot)
    values = psnr(patches, patches_at(targets, spot)).double().cpu().numpy()
    read = classifier.judge(as_patches(grey(patches))).classes.cpu().numpy()
    error = standard_error(values)
    agreement = float((read == labels).mean())
    return Score(name, place, float(values.mean()), float(error), agreement, values.tolist())


def table(scores: Sequence[Score]) -> list[str]:
    """A Markdown table: networks by places, dB and, in brackets, agreement."""
    names = list(dict.fromkeys(each.place for each in scores))
    cells = {(each.network, each.place): f'{each.psnr:.1f} ± {each.error:.1f} ({each.agreement:.0%})'
             for each in scores}
    return markdown.table(['PSNR in the patch, dB (read as it is)', *names],
                          [[name, *(cells[name, place] for place in names)]
                           for name in dict.fromkeys(each.network for each in scores)])


# ----- what is claimed --------------------------------------------------------------------------------------


def claims(scores: Sequence[Score], searches: Sequence[Search],
           qualities: dict[str, quality.Quality]) -> list[Claim]:
    """What is asked of inversion anywhere."""
    at = by_place(scores)
    return [good_networks(qualities), _everywhere(at, [f'{shift} px' for shift in SHIFTS[1:]], qualities),
            _behind(at, ['8 px', '24 px'], qualities), found_claim(searches, qualities)]


def more_claims(scores: Sequence[Score], qualities: dict[str, quality.Quality]) -> list[Claim]:
    """The same of the places of Fig. C. The baseline moves its content by whole cells of its 4x4 input, so
    it is asked about others.
    """
    at, moved = by_place(scores), [name for name, spot in MORE.items() if spot.down or spot.right]
    return [good_networks(qualities), _everywhere(at, moved, qualities),
            _behind(at, [name for name in moved if '32' not in name], qualities)]


def by_place(scores: Sequence[Score]) -> dict[tuple[str, str], float]:
    return {(each.network, each.place): each.psnr for each in scores}


def _everywhere(at: dict, names: Sequence[str], qualities: dict) -> Claim:
    text = f'MS-PE inverts digits at every shift within {WITHIN:g} dB of the standard position'
    if ('mspe', 'standard') not in at:
        return needs(text, ['mspe'])
    lost = {name: at['mspe', 'standard'] - at['mspe', name] for name in names}
    worst = max(lost, key=lost.get)
    return settled(text, f'at most {lost[worst]:.2f} dB less, at {worst}', lost[worst] <= WITHIN, qualities,
                   ['mspe'])


def _behind(at: dict, names: Sequence[str], qualities: dict) -> Claim:
    text = f'the baseline is at least {BEHIND:g} dB worse than MS-PE at {" and ".join(names)} (Fig. 5)'
    if not {('mspe', 'standard'), ('baseline', 'standard')} <= at.keys():
        return needs(text, ['baseline', 'mspe'])
    gaps = [at['mspe', name] - at['baseline', name] for name in names]
    return settled(text, ' and '.join(f'{gap:.2f} dB' for gap in gaps), min(gaps) >= BEHIND, qualities,
                   ['baseline', 'mspe'])
