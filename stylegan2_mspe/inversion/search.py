"""Where in the world is the target? A search over places, by what the generator draws there.

Nothing but the loss looks at the target: pictures of a few latents are drawn on a grid of places, more
latents at the best of these, and the best pairs follow the gradient with respect to both, coarse to fine.
Pictures and target are filtered alike, and encodings of levels finer than the filter are faded, because a
fine encoding has the same phase again some cells away. The projection that follows keeps the place.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F

from stylegan2_mspe import rendering
from stylegan2_mspe.inversion.latents import Statistics, start_from_w
from stylegan2_mspe.inversion.losses import Loss
from stylegan2_mspe.inversion.place import Place
from stylegan2_mspe.inversion.projection import Projection, Recipe, draw

GRID = 8                        # starts along each axis of the trained extent
ZOOMS = (0.5, 2 ** -0.5, 1.0, 2 ** 0.5, 2.0)
BATCH = 64                      # pictures that are drawn at a time, where they fit
LATENT_RATE = 0.05
PLACE_RATE = 0.3                # of shifts, in widths of the filter


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """Some steps of gradient descent, of place and latent, from the best starts so far."""
    places: int                     # that are kept of the stage before, each with its latent
    latents: int = 0                # samples that are tried at each of them, besides ...
    starts: int = 4                 # ... and how many pairs of place and latent that leaves
    steps: int
    widths: tuple[float, ...]       # of the filters, as shares of the trained side, the finest last
    pull: float = 0.1               # towards latents as usual as samples are

    @property
    def finest(self) -> float:
        return self.widths[-1]


# Coarse bands stay when finer ones come: they hold the whole of a digit in its place, where the finest alone
# are content with one stroke of it.
STAGES = (Stage(places=4, latents=64, starts=4, steps=25, widths=(1 / 20,)),
          Stage(places=1, latents=128, starts=4, steps=15, widths=(1 / 20, 1 / 40)),
          Stage(places=2, steps=25, widths=(1 / 20, 1 / 40)),
          Stage(places=1, steps=40, widths=(1 / 20, 1 / 40, 1 / 80), pull=0.03))

STARTS = max(stage.starts if stage.latents else stage.places for stage in STAGES)   # of a target, at a time

Progress = Callable[[Sequence], Iterable]
Advance = Callable[[], object]      # to be called when a piece of the work is done


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


def distance_from(targets: torch.Tensor, widths: Sequence[float]) -> Loss:
    """How far pictures [N, C, H, W] are from the targets [N or 1, C, H, W]: 1 - the cosine between their
    bands, the mean over those widths in pixels. Blind to contrast, and thus to how much of a target is
    something that the generator does not draw.
    """
    wanted = [band(targets, width) for width in widths]

    def distance(pictures: torch.Tensor) -> torch.Tensor:
        likeness = [F.cosine_similarity(band(pictures, width), aim, dim=1)
                    for width, aim in zip(widths, wanted)]
        return 1 - sum(likeness) / len(likeness)

    return distance


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
           advance: Advance = lambda: None) -> tuple[torch.Tensor, torch.Tensor]:
    """The distance of each target [N, C, H, W] from what is drawn at each of P places, by the best of the
    latents ws [M, num_ws, w_dim], and which latent that is: [N, P] and [N, P].
    """
    wanted = band(targets, width)
    count = len(places.shift)
    best = targets.new_full([len(targets), count], float('inf'))
    which = torch.zeros_like(best, dtype=torch.int64)
    batch = batch_that_fits(G, places)
    for index, first in itertools.product(range(len(ws)), range(0, count, batch)):
        part = slice(first, first + batch)
        some = places[part]
        pictures = draw(G, ws[index:index + 1].expand(len(some.shift), -1, -1), some, finest=width)
        found = band(pictures, width)
        distances = 1 - F.normalize(wanted, dim=1) @ F.normalize(found, dim=1).T
        which[:, part] = torch.where(distances < best[:, part], index, which[:, part])
        best[:, part] = torch.minimum(distances, best[:, part])
        advance()
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
    are tried at every place of the grid. `progress` wraps a loop over the pieces of the work.
    """
    ws = torch.cat([known.mean, known.w[:latents - 1]])[:, None].expand(-1, G.num_ws, -1)
    grid = starts(start, find)
    parts = -(-len(grid.shift) // batch_that_fits(G, grid))
    done = iter(progress(range(pieces(len(targets), len(ws) * parts))))
    advance = functools.partial(next, done, None)
    advance()                       # the first piece begins
    losses, which = screen(G, targets, ws, grid, STAGES[0].widths[0] * start.resolution, advance)
    best = choose(losses, STAGES[0].places)
    ws, place = ws[which.flatten()[best]], grid[best % losses.shape[1]]
    losses = losses.flatten()[best].view(len(targets), -1)
    for stage in STAGES:
        kept = choose(losses, stage.places)
        ws, place = ws[kept], place[kept]
        if stage.latents:
            ws, place = try_latents(G, targets, ws, place, known.w[:stage.latents], stage, advance)
        ws, place, losses = descend(G, targets, ws, place, find, stage, known, advance)
    kept = choose(losses, 1)
    return place[kept], ws[kept]


def pieces(count: int, screened: int) -> int:
    """How often a search for `count` targets advances; screened: batches on the grid of places."""
    trials = sum(stage.places for stage in STAGES if stage.latents)
    return screened + count * trials + sum(stage.steps for stage in STAGES)


def batch_that_fits(G: torch.nn.Module, place: Place) -> int:
    """How many pictures to draw at a time, 1…BATCH. Raises ValueError where not even one fits."""
    return rendering.batch_that_fits(G, place.size, '--target', BATCH)


@torch.no_grad()
def try_latents(G: torch.nn.Module, targets: torch.Tensor, ws: torch.Tensor, place: Place,
                samples: torch.Tensor, stage: Stage, advance: Advance) -> tuple[torch.Tensor, Place]:
    """The best pairs for each of N targets, of its K places with their own ws [N·K, num_ws, w_dim] or with
    one of the samples [M, w_dim]: ws [N·starts, num_ws, w_dim] and their places.
    """
    each = len(ws) // len(targets)
    widths = [width * place.resolution for width in stage.widths]
    samples = samples[:, None].expand(-1, G.num_ws, -1)
    losses, batch = [], batch_that_fits(G, place)
    for index, own in enumerate(ws):
        distance = distance_from(targets[index // each, None], widths)
        for some in torch.cat([own[None], samples]).split(batch):
            losses.append(distance(draw(G, some, place[[index] * len(some)], finest=widths[-1])))
        advance()
    best = choose(torch.cat(losses).view(len(targets), -1), stage.starts)
    pair, sample = best // (len(samples) + 1), best % (len(samples) + 1)
    return torch.where(sample[:, None, None] > 0, samples[sample - 1], ws[pair]), place[pair]


def descend(G: torch.nn.Module, targets: torch.Tensor, ws: torch.Tensor, place: Place,
            find: tuple[str, ...], stage: Stage, known: Statistics,
            advance: Advance = lambda: None) -> tuple[torch.Tensor, Place, torch.Tensor]:
    """The steps of a stage, for K starts ws [N·K, num_ws, w_dim] of each target: what was best, and its
    losses [N, K].
    """
    widths = [width * place.resolution for width in stage.widths]
    each = targets.repeat_interleave(len(ws) // len(targets), dim=0)
    recipe = Recipe(steps=stage.steps, lr=LATENT_RATE, place_lr=stage.finest * PLACE_RATE, latent_noise=0,
                    ramp_up=0, ramp_down=0.5)
    distance, latents = distance_from(each, widths), start_from_w(G, 'w', ws)

    def loss(pictures: torch.Tensor) -> torch.Tensor:
        return distance(pictures) + stage.pull * known.rarity(latents.values[:, 0])

    projection = Projection(G, loss, latents, place, recipe=recipe, find=find, finest=widths[-1])
    for _ in range(stage.steps):
        projection.step()
        advance()
    best = projection.best
    return best.ws, best.place, best.loss.view(len(targets), -1)
