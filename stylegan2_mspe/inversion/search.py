"""Where in the world is the target? A search over places, by what the generator draws there.

Nothing but the loss looks at the target: pictures of a few latents are drawn on a grid of places, and the
best of these starts follow the gradient with respect to place and latent, coarse to fine. Pictures and target
are filtered alike, and encodings of levels finer than the filter are faded, because a fine encoding has the
same phase again some cells away. A joint refinement is the projection that follows.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F

from stylegan2_mspe.inversion.latents import Statistics, start_from_w
from stylegan2_mspe.inversion.place import Place
from stylegan2_mspe.inversion.projection import Projection, Recipe, draw

GRID = 8                        # starts along each axis of the trained extent
ZOOMS = (0.5, 2 ** -0.5, 1.0, 2 ** 0.5, 2.0)
BATCH = 64
LATENT_RATE = 0.05
PLACE_RATE = 0.3                # of shifts, in widths of the filter


@dataclasses.dataclass(frozen=True)
class Stage:
    """Some steps of gradient descent from the best starts so far."""
    starts: int                 # how many of them
    steps: int
    width: float                # of the filter, as a share of the trained side


STAGES = (Stage(4, 25, 1 / 20), Stage(3, 20, 1 / 40), Stage(2, 30, 1 / 80))

Progress = Callable[[Iterable], Iterable]


@functools.lru_cache(maxsize=64)
def gaussian(length: int, width: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The matrix [length, length] that filters a line of pixels by a Gaussian of that deviation, cut at three
    of them, the border repeated. The side of a picture is short: products of matrices are faster than
    convolutions of one channel.
    """
    radius = max(1, int(3 * width))
    offsets = torch.arange(-radius, radius + 1)
    taps = (-0.5 * (offsets / width).double().square()).exp()
    cells = torch.arange(length)[:, None]
    matrix = torch.zeros(length, length, dtype=torch.float64)
    matrix.scatter_add_(1, (cells + offsets).clamp(0, length - 1), (taps / taps.sum()).expand(length, -1))
    return matrix.to(device, dtype)


def blurred(pictures: torch.Tensor, width: float) -> torch.Tensor:
    """Each channel of [N, C, H, W] filtered by the Gaussian of that deviation in pixels."""
    down, across = (gaussian(length, width, pictures.dtype, pictures.device)
                    for length in pictures.shape[2:])
    return down @ pictures @ across.t()


def band(pictures: torch.Tensor, width: float) -> torch.Tensor:
    """The structures about `width` pixels wide: what is neither finer nor even over the surroundings.

    [N, C, H, W] -> [N, C·H·W].
    """
    smooth = blurred(pictures, width)
    return (smooth - blurred(smooth, 2 * width)).flatten(1)


def distance(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """1 - the cosine between bands [N, F] and [N, F]: blind to contrast, and thus to how much of the target
    is something that the generator does not draw.
    """
    return 1 - F.cosine_similarity(found, wanted, dim=1)


def starts(start: Place, find: tuple[str, ...]) -> Place:
    """The grid of places: GRID shifts along each axis of the trained side, at each of ZOOMS.

    An axis that wraps has a whole turn of them, another as many as leave half of the trained extent in sight.
    What is not in `find` stays as in `start`, one place.
    """
    zooms = ZOOMS if 'zoom' in find else start.zoom[0].tolist()
    places = []
    for zoom in zooms:
        if 'shift' not in find:
            places.append(torch.tensor([[*start.shift[0].tolist(), zoom]], dtype=torch.float64))
            continue
        axes = []
        for wraps, length in zip(start.wraps, start.size):
            step = start.resolution / GRID / zoom
            low, high = (0, start.resolution) if wraps else (-start.resolution / 2, 0)
            if not wraps:
                high = length / zoom - start.resolution / 2
            axes.append(torch.arange(low, max(high, low + step), step, dtype=torch.float64))
        grid = torch.cartesian_prod(*axes)
        places.append(torch.cat([grid, torch.full([len(grid), 1], zoom, dtype=torch.float64)], dim=1))
    values = torch.cat(places).to(start.shift.device)
    return start.with_values(values[:, :2], values[:, 2:])


@torch.no_grad()
def screen(G: torch.nn.Module, targets: torch.Tensor, ws: torch.Tensor, places: Place, width: float,
           progress: Progress = iter) -> tuple[torch.Tensor, torch.Tensor]:
    """The distance of each target [N, C, H, W] from what is drawn at each of P places, by the best of the
    latents ws [M, num_ws, w_dim], and which latent that is: [N, P] and [N, P].
    """
    wanted = band(targets, width)
    count = len(places.shift)
    best = targets.new_full([len(targets), count], float('inf'))
    which = torch.zeros_like(best, dtype=torch.int64)
    tasks = [(index, slice(first, first + BATCH)) for index in range(len(ws))
             for first in range(0, count, BATCH)]
    for index, part in progress(tasks):
        some = places[part]
        pictures = draw(G, ws[index:index + 1].expand(len(some.shift), -1, -1), some, finest=width)
        found = band(pictures, width)
        distances = 1 - F.normalize(wanted, dim=1) @ F.normalize(found, dim=1).T
        which[:, part] = torch.where(distances < best[:, part], index, which[:, part])
        best[:, part] = torch.minimum(distances, best[:, part])
    return best, which


def choose(losses: torch.Tensor, count: int) -> torch.Tensor:
    """Indices [N·count], into the flattened losses [N, K], of the lowest of each row."""
    chosen = losses.topk(min(count, losses.shape[1]), dim=1, largest=False).indices
    return (chosen + torch.arange(len(losses), device=losses.device)[:, None] * losses.shape[1]).flatten()


def find_places(G: torch.nn.Module, targets: torch.Tensor, known: Statistics, start: Place,
                find: tuple[str, ...], *, latents: int = 8,
                progress: Progress = iter) -> tuple[Place, torch.Tensor]:
    """Places of the targets [N, C, H, W], and ws [N, num_ws, w_dim] that draw something like them there.

    `start` has the size, the wrapping and whatever is not in `find`. `latents` of them, the mean and samples,
    are tried at every start. `progress` wraps the loop over batches of the grid.
    """
    count, side = len(targets), start.resolution
    ws = torch.cat([known.mean, known.w[:latents - 1]])[:, None].expand(-1, G.num_ws, -1)
    grid = starts(start, find)
    losses, which = screen(G, targets, ws, grid, STAGES[0].width * side, progress)
    best = choose(losses, STAGES[0].starts)
    ws, place = ws[which.flatten()[best]], grid[best % losses.shape[1]]
    losses = losses.flatten()[best].view(count, -1)
    for stage in STAGES:
        kept = choose(losses, stage.starts)
        each = targets.repeat_interleave(len(kept) // count, dim=0)
        ws, place, losses = descend(G, each, ws[kept], place[kept], find, stage)
        losses = losses.view(count, -1)
    kept = choose(losses, 1)
    return place[kept], ws[kept]


def descend(G: torch.nn.Module, targets: torch.Tensor, ws: torch.Tensor, place: Place,
            find: tuple[str, ...], stage: Stage) -> tuple[torch.Tensor, Place, torch.Tensor]:
    """One stage for starts ws [N, num_ws, w_dim] at their places: what was best, and its losses [N]."""
    width = stage.width * place.resolution
    wanted = band(targets, width)
    recipe = Recipe(steps=stage.steps, lr=LATENT_RATE, place_lr=stage.width * PLACE_RATE, latent_noise=0,
                    ramp_up=0, ramp_down=0.5)
    projection = Projection(G, lambda pictures: distance(band(pictures, width), wanted),
                            start_from_w(G, 'w', ws), place, recipe=recipe, find=find, finest=width)
    for _ in range(stage.steps):
        projection.step()
    return projection.best.ws, projection.best.place, projection.best.loss
