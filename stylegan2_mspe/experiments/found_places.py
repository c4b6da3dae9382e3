"""Where are digits that lie anywhere? The places that --shift=auto finds, beside those where they are.

Real digits, on black and on backgrounds that no network draws; and digits of the network's own, which show
what the search misses by itself, and what only because a network draws no such digit.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import digits, images, rendering
from stylegan2_mspe.experiments.backgrounds import KINDS, background
from stylegan2_mspe.experiments.claims import Claim, needs, settled
from stylegan2_mspe.experiments.held_out import Digits
from stylegan2_mspe.experiments.standard_error import standard_error
from stylegan2_mspe.inversion import latents
from stylegan2_mspe.inversion.place import Place
from stylegan2_mspe.inversion.projection import Recipe, draw
from stylegan2_mspe.inversion.search import find_places

OWN = 'its own digits'
SIDE = digits.DIGIT_SIZE + 2 * digits.MARGIN
SHOWN = 6                               # digits in the picture
NEAR = 1.0                              # pixels: a place counts as found
FOUND = 0.9                             # share that is asked for
FIRST_SEED = 1000                       # of the network's own digits

Progress = Callable[[str], Callable[[Iterable], Iterable]]


@dataclasses.dataclass(frozen=True)
class Search:
    """One network's search for places, on one kind of background or of its own digits."""
    network: str
    background: str
    errors: list[float]                 # of each digit, in pixels

    @property
    def near(self) -> float:
        return float((np.array(self.errors) <= NEAR).mean())

    def sentence(self) -> str:
        errors = np.array(self.errors)
        spread = standard_error(errors)
        return (f'{self.network}, auto on {self.background}: {errors.mean():.2f} ± {spread:.2f} pixels off '
                f'(median {np.median(errors):.2f}), {self.near:.0%} within {NEAR:g}')


def search(networks: Mapping[str, torch.nn.Module], found: Digits, seed: int = 0,
           progress: Progress = lambda label: iter) -> tuple[list[Search], Image.Image]:
    """Every network's search for digits placed uniformly at random, and a picture of some, beside what is
    drawn where they were found. `progress(label)` wraps a loop over the pieces of a search.
    """
    searches, rows, labels = [], [], []
    for name, G in networks.items():
        device = next(G.parameters()).device
        known = latents.statistics(G, Recipe().samples)
        for kind in (OWN, *KINDS):
            targets, shifts = own_digits(G, found, seed) if kind == OWN else scattered(found, kind, seed)
            targets = targets.to(device)
            start = Place.of(G.img_resolution, tuple(targets.shape[2:]), torch.zeros(len(targets), 2),
                             torch.ones(len(targets)), (True, True), device)
            place, ws = find_places(G, targets, known, start, ('shift',),
                                    progress=progress(f'{name}, auto on {kind}'))
            searches.append(Search(name, kind, distances(place, shifts)))
            with torch.no_grad():
                pictures = draw(G, ws[:SHOWN], place[:SHOWN], fixed=True)
            rows += [list(targets[:SHOWN].cpu()), list(pictures.cpu())]
            labels += [kind, name]
    return searches, images.labelled_grid(rows, labels, [''] * len(rows[0]), 'Places found by --shift=auto')


def random_shifts(count: int, random: np.random.RandomState) -> np.ndarray:
    """[count, 2] whole pixels down and right, uniform among those that leave the patch in the picture."""
    return random.randint(0, digits.RESOLUTION - SIDE + 1, [count, 2])


def scattered(found: Digits, kind: str, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Digits on backgrounds of that kind, [N, 3, 64, 64] in [-1, 1], and their shifts [N, 2]."""
    random = np.random.RandomState(seed)
    shifts = random_shifts(len(found.labels), random)
    pictures = []
    for picture, opacity, shift in zip(found.pictures, found.opacity, shifts):
        picture, opacity = (np.roll(array, shift, axis=(0, 1)) for array in (picture / 255, opacity))
        behind = background(kind, digits.RESOLUTION, random)
        pictures.append(picture + (1 - opacity[:, :, None]) * behind)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() * 2 - 1, shifts


@torch.no_grad()
def own_digits(G: torch.nn.Module, found: Digits, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """As many pictures that the network draws at random places, and their shifts [N, 2]."""
    count = len(found.labels)
    shifts = random_shifts(count, np.random.RandomState(seed))
    size = (G.img_resolution, G.img_resolution)
    place = Place.of(G.img_resolution, size, shifts, np.ones(count), (True, True),
                     next(G.parameters()).device)
    ws = rendering.seed_ws(G, range(FIRST_SEED, FIRST_SEED + count))
    return draw(G, ws, place, fixed=True), shifts


def distances(place: Place, shifts: np.ndarray) -> list[float]:
    """How far the places are from the shifts [N, 2], round the trained size, in pixels."""
    half = place.resolution / 2
    error = (place.shift.cpu().numpy() - shifts + half) % place.resolution - half
    return np.hypot(*error.T).tolist()


def found_claim(searches: Sequence[Search], qualities: dict) -> Claim:
    """What is asked of the search; its own digits tell how much of it the network is to blame for."""
    text = f'auto is within {NEAR:g} px for at least {FOUND:.0%} of digits placed at random'
    near = {each.background: each.near for each in searches if each.network == 'mspe'}
    if not near:
        return needs(text, ['mspe'])
    own = f', {near[OWN]:.0%} of digits of its own' if OWN in near else ''
    return settled(text, f'{near["black"]:.0%}{own}', near['black'] >= FOUND, qualities, ['mspe'])
