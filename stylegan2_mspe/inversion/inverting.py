"""From targets and wishes to a projection that is ready to run."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import torch

from stylegan2_mspe.inversion import noise as noise_maps
from stylegan2_mspe.inversion.latents import Latents, Statistics, start_from_w, start_from_z, statistics
from stylegan2_mspe.inversion.losses import Loss
from stylegan2_mspe.inversion.place import Place
from stylegan2_mspe.inversion.projection import RECIPES, Projection, Recipe, draw
from stylegan2_mspe.inversion.search import find_places

Z_STARTS = 64                   # samples that a search in z, which has no mean, is started from the best of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be found, and how."""
    space: str = 'w'                        # of latents.SPACES
    find: tuple[str, ...] = ()              # 'shift' and 'zoom' where they are to be found, too
    optimize_noise: bool = False            # whether noise maps are found, too
    num_starts: int = 1                     # > 1: from the best of so many, samples and, of w, their mean
    seed: int = 303
    recipe: Recipe = RECIPES['stylegan2']


def begin(G: torch.nn.Module, targets: torch.Tensor, loss: Loss, place: Place, wish: Wish, *,
          init: torch.Tensor | None = None, labels: torch.Tensor | None = None,
          progress: Callable[[Sequence], Iterable] = iter) -> Projection:
    """A projection of targets [N, C, H, W], seen at N places.

    init: ws [N or 1, num_ws, w_dim] to start from. labels [1, c_dim]. Where a place is to be found, the
    search for it happens here, and `progress` wraps its loop; the projection keeps what was found, because
    its loss would move the place, too, to explain what the network can not draw. Raises ValueError for ws to
    start from in the space z, in which they have no place.
    """
    if init is not None and wish.space == 'z':
        raise ValueError('--init: found --space=z, expected w or w+: what it holds are no z')
    count = len(targets)
    known = statistics(G, wish.recipe.samples, labels=labels)
    ws = known.mean[:, None].expand(count, G.num_ws, -1) if init is None else init.expand(count, -1, -1)
    if wish.find:
        place, found = find_places(G, targets, known, place, wish.find, progress=progress)
        ws = found if init is None else ws
    keep = bool(wish.find) or init is not None
    latents = starting_latents(G, wish, known, ws, place, loss, labels, keep)
    maps = None
    if wish.optimize_noise:
        maps = noise_maps.random_maps(G.synthesis, place.levels(), count, wish.seed)
    return Projection(G, loss, latents, place, recipe=wish.recipe, deviation=known.std, maps=maps,
                      seed=wish.seed)


def starting_latents(G: torch.nn.Module, wish: Wish, known: Statistics, ws: torch.Tensor, place: Place,
                     loss: Loss, labels: torch.Tensor | None, keep: bool) -> Latents:
    """Those of the start: ws, or the best of samples where more starts were asked for, or the space is z.

    keep: whether ws are better than any other start, as those of a file or of a search are.
    """
    if wish.space == 'z':
        best = best_samples(G, known.w[:wish.num_starts if wish.num_starts > 1 else Z_STARTS], place, loss)
        return start_from_z(known.z[best], labels)
    if wish.num_starts > 1 and not keep:
        samples = torch.cat([known.mean, known.w[:wish.num_starts - 1]])
        ws = samples[best_samples(G, samples, place, loss)]
    return start_from_w(G, wish.space, ws)


@torch.no_grad()
def best_samples(G: torch.nn.Module, w: torch.Tensor, place: Place, loss: Loss) -> torch.Tensor:
    """Which of w [M, w_dim] has the lowest loss at each of N places: [N]."""
    count = len(place.shift)
    losses = [loss(draw(G, one.expand(count, G.num_ws, -1), place, fixed=True)) for one in w]
    return torch.stack(losses).argmin(dim=0)
