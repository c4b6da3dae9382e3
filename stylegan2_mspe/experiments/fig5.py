"""Fig. 5 and C: can digits be inverted where none was ever seen? Real ones, elsewhere, into every network.

A digit is projected into W with the stored noise at the place where it is seen. What counts is the patch that
holds it: on whole pictures an answer that is black all over scores about 22 dB. With 'auto' the place itself
has to be found, also on backgrounds that no network draws. C shows all ten classes at other places.
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
from stylegan2_mspe.experiments.backgrounds import KINDS, background
from stylegan2_mspe.experiments.claims import Claim, good_networks, needs, settled
from stylegan2_mspe.experiments.held_out import Digits
from stylegan2_mspe.inversion import inverting, losses
from stylegan2_mspe.inversion.place import Place
from stylegan2_mspe.inversion.projection import Projection, Recipe, draw
from stylegan2_mspe.similarity import grey, patch_at

ROLES = ('baseline', 'sspe', 'mspe')
SHIFTS = (0, 8, 16, 24, 32)             # right and down, pixels
ZOOM = 2.0                              # about the top-left corner
SIDE = digits.DIGIT_SIZE + 2 * digits.MARGIN
SHOWN, SHOWN_MORE = 6, 10               # digits in the pictures
LOSS = 'pixel'                          # alike for all networks
NEAR = 1.0                              # pixels: a place counts as found
WITHIN, BEHIND, FOUND = 1.0, 2.0, 0.9   # what is asked for: dB, dB, share

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


@dataclasses.dataclass(frozen=True)
class Search:
    """One network's search for places on one kind of background, in pixels."""
    network: str
    background: str
    errors: list[float]                 # of each digit, after the refinement together with the latent
    at_first: list[float]               # before it

    @property
    def near(self) -> float:
        return float((np.array(self.errors) <= NEAR).mean())

    def sentence(self) -> str:
        errors = np.array(self.errors)
        spread = errors.std(ddof=1) / len(errors) ** 0.5 if len(errors) > 1 else 0.0
        return (f'{self.network}, auto on {self.background}: {errors.mean():.2f} ± {spread:.2f} pixels off '
                f'(median {np.median(errors):.2f}, before the refinement {np.median(self.at_first):.2f}), '
                f'{self.near:.0%} within {NEAR:g}')


# ----- at known places --------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """Where a digit is seen: moved by whole pixels, or enlarged about the top-left corner."""
    down: int = 0
    right: int = 0
    zoom: float = 1.0


PLACES = {'standard': Seen(), **{f'{shift} px': Seen(shift, shift) for shift in SHIFTS[1:]},
          f'zoom {ZOOM:g}': Seen(zoom=ZOOM)}
MORE = {'standard': Seen(), '12 right': Seen(0, 12), '32 right': Seen(0, 32), '12 down': Seen(12, 0),
        '32 down': Seen(32, 0), '8 down, 28 right': Seen(8, 28), '28 down, 8 right': Seen(28, 8),
        'zoom 4/3': Seen(zoom=4 / 3)}       # of Fig. C


def targets_at(found: Digits, seen: Seen) -> torch.Tensor:
    """The digits seen there, [N, 3, 64, 64] in [-1, 1]."""
    pictures = np.roll(found.pictures, (seen.down, seen.right), axis=(1, 2))
    if seen.zoom != 1:
        side = round(digits.RESOLUTION / seen.zoom)
        size = (digits.RESOLUTION, digits.RESOLUTION)
        pictures = np.stack([Image.fromarray(picture[:side, :side]).resize(size, Image.Resampling.BICUBIC)
                             for picture in pictures])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def patches_at(pictures: torch.Tensor, seen: Seen) -> torch.Tensor:
    """What holds the digit [N, C, h, w]."""
    size = int(SIDE * seen.zoom)
    channels = [patch_at(channel, seen.down, seen.right, size) for channel in pictures.unbind(dim=1)]
    return torch.stack(channels, dim=1)


def psnr(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio of each picture [N, C, H, W] in [-1, 1], shown in 256 levels' range: [N]."""
    error = (found.clamp(-1, 1) - wanted).square().flatten(1).mean(dim=1)
    return 10 * torch.log10(4 / error)


def project_at(G: torch.nn.Module, targets: torch.Tensor, seen: Seen, recipe: Recipe,
               progress: Callable[[Iterable], Iterable]) -> torch.Tensor:
    """The projections [N, 3, 64, 64] of targets seen there, in W with the stored noise."""
    count, size = len(targets), tuple(targets.shape[2:])
    wraps = (seen.zoom == 1, seen.zoom == 1)
    place = Place.of(G.img_resolution, size, [[float(seen.down), float(seen.right)]] * count,
                     [seen.zoom] * count, wraps, targets.device)
    wish = inverting.Wish(recipe=recipe)
    projection = inverting.begin(G, targets, losses.make_loss(LOSS, targets), place, wish)
    run(projection, progress)
    with torch.no_grad():
        return draw(G, projection.best.ws, place, fixed=True)


def run(projection: Projection, progress: Callable[[Iterable], Iterable]) -> None:
    for _ in progress(range(projection.recipe.steps)):
        projection.step()


def measure(networks: Mapping[str, torch.nn.Module], found: Digits, classifier: DigitClassifier,
            recipe: Recipe, progress: Progress = lambda label: iter, places: Mapping[str, Seen] = PLACES,
            shown: int = SHOWN) -> tuple[list[Score], Image.Image]:
    """Every network at every place, and the picture of some; `progress(label)` wraps a loop over steps."""
    scores, rows, labels = [], [], []
    for name, G in networks.items():
        device, drawn = next(G.parameters()).device, []
        for place, seen in places.items():
            targets = targets_at(found, seen).to(device)
            pictures = project_at(G, targets, seen, recipe, progress(f'{name}, {place}'))
            scores.append(score(name, place, pictures, targets, found.labels, classifier, seen))
            drawn.append((targets.cpu(), pictures.cpu()))
        for what, column in (('target', 0), (name, 1))[bool(rows):]:
            rows += list(zip(*(pair[column][:shown] for pair in drawn)))
            labels += [what] * len(drawn[0][0][:shown])
    return scores, images.labelled_grid(rows, labels, list(places), 'Real digits, projected where they are')


def score(name: str, place: str, pictures: torch.Tensor, targets: torch.Tensor, labels: np.ndarray,
          classifier: DigitClassifier, seen: Seen) -> Score:
    patches = patches_at(pictures, seen)
    values = psnr(patches, patches_at(targets, seen)).double().cpu().numpy()
    read = classifier.judge(as_patches(grey(patches))).classes.cpu().numpy()
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
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


# ----- where the place has to be found ----------------------------------------------------------------------


def search(networks: Mapping[str, torch.nn.Module], found: Digits, recipe: Recipe, seed: int = 0,
           progress: Progress = lambda label: iter) -> tuple[list[Search], Image.Image]:
    """Every network's search on every kind of background, for digits placed uniformly at random."""
    searches, rows, labels = [], [], []
    for name, G in networks.items():
        for kind in KINDS:
            targets, shifts = scattered(found, kind, seed)
            targets = targets.to(next(G.parameters()).device)
            begun, projection = search_places(G, targets, recipe, progress(f'{name}, auto on {kind}'))
            errors = [distances(place, shifts) for place in (projection.best.place, begun)]
            searches.append(Search(name, kind, *errors))
            with torch.no_grad():
                pictures = draw(G, projection.best.ws, projection.best.place, fixed=True)
            rows += [list(targets[:SHOWN].cpu()), list(pictures[:SHOWN].cpu())]
            labels += [f'{kind}', name]
    return searches, images.labelled_grid(rows, labels, [''] * len(rows[0]), 'Places found by --shift=auto')


def scattered(found: Digits, kind: str, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Digits on backgrounds of that kind, [N, 3, 64, 64] in [-1, 1], and their shifts [N, 2]: whole pixels,
    uniformly at random among those that leave the patch in the picture.
    """
    random = np.random.RandomState(seed)
    shifts = random.randint(0, digits.RESOLUTION - SIDE + 1, [len(found.labels), 2])
    pictures = []
    for picture, opacity, shift in zip(found.pictures, found.opacity, shifts):
        picture, opacity = (np.roll(array, shift, axis=(0, 1)) for array in (picture / 255, opacity))
        behind = background(kind, digits.RESOLUTION, random)
        pictures.append(picture + (1 - opacity[:, :, None]) * behind)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() * 2 - 1, shifts


def search_places(G: torch.nn.Module, targets: torch.Tensor, recipe: Recipe,
                  progress: Callable[[Iterable], Iterable]) -> tuple[Place, Projection]:
    """Where the search began the refinement, and the projection after it."""
    count, size = len(targets), tuple(targets.shape[2:])
    start = Place.of(G.img_resolution, size, [[0, 0]] * count, [1] * count, (True, True), targets.device)
    wish = inverting.Wish(find=('shift',), recipe=recipe)
    projection = inverting.begin(G, targets, losses.make_loss(LOSS, targets), start, wish)
    begun = projection.best.place
    run(projection, progress)
    return begun, projection


def distances(place: Place, shifts: np.ndarray) -> list[float]:
    """How far the places are from the shifts [N, 2], round the trained size, in pixels."""
    half = place.resolution / 2
    error = (place.shift.cpu().numpy() - shifts + half) % place.resolution - half
    return np.hypot(*error.T).tolist()


# ----- what is claimed --------------------------------------------------------------------------------------


def claims(scores: Sequence[Score], searches: Sequence[Search],
           qualities: dict[str, quality.Quality]) -> list[Claim]:
    """What is asked of inversion anywhere."""
    at = by_place(scores)
    return [good_networks(qualities), _everywhere(at, [f'{shift} px' for shift in SHIFTS[1:]], qualities),
            _behind(at, ['8 px', '24 px'], qualities), _found(searches, qualities)]


def more_claims(scores: Sequence[Score], qualities: dict[str, quality.Quality]) -> list[Claim]:
    """The same of the places of Fig. C. The baseline moves its content by whole cells of its 4x4 input, so
    it is asked about others.
    """
    at, moved = by_place(scores), [name for name, seen in MORE.items() if seen.down or seen.right]
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


def _found(searches: Sequence[Search], qualities: dict) -> Claim:
    text = f'auto is within {NEAR:g} px for at least {FOUND:.0%} of digits placed at random'
    black = [each for each in searches if (each.network, each.background) == ('mspe', 'black')]
    if not black:
        return needs(text, ['mspe'])
    return settled(text, f'{black[0].near:.0%}', black[0].near >= FOUND, qualities, ['mspe'])
