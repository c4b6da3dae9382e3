"""The optimisation: latents, and noise maps and places where asked, follow the gradient of a loss.

As in StyleGAN2's projector (Karras et al. 2020, appendix D): Adam, a rate that ramps up and comes down along
a cosine, and noise on the latent that fades.
"""

import dataclasses
import math

import torch

from stylegan2_mspe import rendering
from stylegan2_mspe.inversion import noise as noise_maps
from stylegan2_mspe.inversion.latents import Latents
from stylegan2_mspe.inversion.losses import Loss
from stylegan2_mspe.inversion.place import Place
from stylegan2_mspe.pe import Window


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a projection goes on; shares are of the number of steps."""
    steps: int = 1000
    lr: float = 0.1             # Adam's, of latents and noise maps, at its highest
    place_lr: float = 0.003     # of shifts, in trained sides, and of what a zoom moves half a side away
    ramp_up: float = 0.05       # share over which the rates grow from 0
    ramp_down: float = 0.25     # share over which they come down again
    latent_noise: float = 0.05  # noise on the latent at first, in deviations of w
    noise_ramp: float = 0.75    # share after which it is gone
    noise_weight: float = 1e5   # of what noise maps must not carry
    samples: int = 10000        # mapped latents that mean and deviation come from


RECIPES = dict(
    stylegan2=Recipe(),
    paper=Recipe(noise_weight=1e3),     # Choi et al. 2021, Sec. 4.1
)


class Diverged(ValueError):
    """The loss is not finite; what was best until then is kept."""


@dataclasses.dataclass(frozen=True)
class Best:
    """What drew the pictures of the lowest loss so far, for each of N samples. Replaced as a whole: an
    interruption finds the one before or the one after.
    """
    loss: torch.Tensor                      # [N]; infinite where there is nothing yet
    ws: torch.Tensor                        # [N, num_ws, w_dim]
    values: torch.Tensor                    # the latents in their space
    place: Place
    maps: noise_maps.Maps

    def improved(self, loss, ws, values, place: Place, maps: noise_maps.Maps) -> 'Best':
        """With those of the samples whose loss is lower."""
        better = loss < self.loss
        if not better.any():
            return self

        def choose(new, old):
            return torch.where(better.view(-1, *[1] * (new.ndim - 1)), new.detach(), old)

        nearer = place.with_values(choose(place.shift, self.place.shift),
                                   choose(place.zoom, self.place.zoom))
        return Best(choose(loss, self.loss), choose(ws, self.ws), choose(values, self.values), nearer,
                    {name: choose(map, self.maps[name]) for name, map in maps.items()})


def draw(G: torch.nn.Module, ws: torch.Tensor, place: Place, *, maps: noise_maps.Maps | None = None,
         noise_mode: str = 'const', fixed: bool = False, finest: float = 0.0) -> torch.Tensor:
    """Pictures [N, C, H, W] of ws [N, num_ws, w_dim] at their places.

    fixed: no gradient is wanted with respect to the place. finest: encodings of levels whose cells are
    smaller than that, in world pixels, are faded in proportion. Samples share one convolution of scaled
    activations, for the gradient of scaled weights would cost as much as all the rest.
    """
    options = dict(canvas=what_is_drawn(G, place, fixed), noise_mode=noise_mode, fused_modconv=False)
    fainter = faded(G.synthesis, finest)
    with noise_maps.injected(G.synthesis, maps):
        if fainter:
            pictures = torch.func.functional_call(G.synthesis, fainter, (ws,), options)
        else:       # that call takes a tenth of the time of a small network
            pictures = G.synthesis(ws, **options)
    return pictures[:, :, :place.size[0], :place.size[1]]


def what_is_drawn(G: torch.nn.Module, place: Place, fixed: bool):
    """The place as a network takes it: a canvas where no gradient is wanted, else coordinates, which know no
    border, or a window of them for a network that has none.
    """
    border = G.synthesis.border
    if fixed:
        return place.canvas() if border == 'zero' else place.canvases()
    return place.levels() if border == 'zero' else Window.whole(place, border)


def sample_bytes(G: torch.nn.Module, place: Place, loss: Loss | None = None,
                 network: torch.nn.Module | None = None) -> int:
    """About how much memory a sample of a step takes, in bytes: what the gradient of its picture keeps, and
    of a loss against one target that a network sees, as one that is drawn here shows, and what drawing it
    takes.
    """
    weights = {weight.untyped_storage().data_ptr()
               for module in (G, network) if module is not None for weight in module.state_dict().values()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ws = next(G.parameters()).new_zeros([1, G.num_ws, G.w_dim]).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = draw(G, ws, place[:1], fixed=True)
        found = loss(found) if loss else found
    assert found.requires_grad              # and keeps alive what is counted
    return sum(kept.values()) + rendering.picture_bytes(G, *place.size)


def faded(synthesis: torch.nn.Module, finest: float) -> dict[str, torch.Tensor]:
    """The weights of the encodings that are to be fainter, by name."""
    weights = {}
    for resolution in synthesis.block_resolutions:
        cell, block = synthesis.img_resolution / resolution, getattr(synthesis, f'b{resolution}')
        if cell < finest and hasattr(block, 'gamma'):
            weights[f'b{resolution}.gamma'] = block.gamma * (cell / finest)
    return weights


class Projection:
    """One optimisation of N samples, step by step.

    for step in range(recipe.steps): losses = projection.step()

    find: which of 'shift' and 'zoom' are optimised, too. maps: noise maps to be optimised, or None.
    deviation: of w, which the noise on the latents is scaled by. finest: see draw.
    """

    def __init__(self, G: torch.nn.Module, loss: Loss, latents: Latents, place: Place, *, recipe: Recipe,
                 deviation: float = 1.0, maps: noise_maps.Maps | None = None, find: tuple[str, ...] = (),
                 noise_mode: str = 'const', finest: float = 0.0, seed: int = 0):
        self.G, self.loss, self.latents, self.recipe, self.deviation = G, loss, latents, recipe, deviation
        self.maps, self.find = maps or {}, find
        self.noise_mode, self.finest = noise_mode, finest
        self.count, self.pictures = 0, None
        self.random = torch.Generator().manual_seed(seed)
        self.start = place
        self.shift = place.shift.clone().requires_grad_('shift' in find)
        self.log_zoom = place.zoom.log().requires_grad_('zoom' in find)
        groups = [dict(params=[latents.values, *self.maps.values()], rate=recipe.lr)]
        if 'shift' in find:
            groups.append(dict(params=[self.shift], rate=recipe.place_lr * place.resolution))
        if 'zoom' in find:
            groups.append(dict(params=[self.log_zoom], rate=recipe.place_lr * 2))
        self.optimizer = torch.optim.Adam(groups, lr=recipe.lr, foreach=True)
        with torch.no_grad():
            ws = latents.ws(G)
        infinite = torch.full([len(ws)], math.inf, dtype=ws.dtype, device=ws.device)
        self.best = Best(infinite, ws, latents.values.detach().clone(), place,
                         {name: map.detach().clone() for name, map in self.maps.items()})

    def place(self) -> Place:
        """Where the samples are now."""
        if not self.find:
            return self.start
        return self.start.with_values(self.shift, self.log_zoom.exp())

    def step(self) -> torch.Tensor:
        """Losses [N] of the pictures before the step. Raises Diverged where one is not finite."""
        values, place = self.latents.values, self.place()
        jitter = torch.randn(values.shape, generator=self.random, dtype=values.dtype)
        jitter = jitter.to(values.device) * self.jitter()
        ws = self.latents.ws(self.G, jitter)
        pictures = draw(self.G, ws, place, maps=self.maps, noise_mode=self.noise_mode,
                        fixed=not self.find, finest=self.finest)
        losses = self.loss(pictures)
        total = losses + self.recipe.noise_weight * noise_maps.penalty(self.maps) if self.maps else losses
        if not total.isfinite().all():
            raise Diverged(f'the loss is not a finite number at step {self.count + 1} of '
                           f'{self.recipe.steps}; what was best until then is kept')
        self.best = self.best.improved(losses.detach(), ws, values + jitter, place, self.maps)
        self.pictures = pictures.detach()
        self.descend(total.sum())
        self.count += 1
        return losses.detach()

    def descend(self, total: torch.Tensor) -> None:
        """One step of Adam, at the rates of this moment."""
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        for group in self.optimizer.param_groups:
            group['lr'] = group['rate'] * self.ramp()
        self.optimizer.step()
        noise_maps.normalise(self.maps)

    def ramp(self) -> float:
        """The rates now, as a share of their highest: linear up, a cosine down."""
        share, recipe = self.count / self.recipe.steps, self.recipe
        down = min(1.0, (1 - share) / recipe.ramp_down) if recipe.ramp_down else 1.0
        up = min(1.0, share / recipe.ramp_up) if recipe.ramp_up else 1.0
        return (0.5 - 0.5 * math.cos(math.pi * down)) * up

    def jitter(self) -> float:
        """The deviation of the noise on the latents now."""
        left = max(0.0, 1 - self.count / self.recipe.steps / self.recipe.noise_ramp)
        scale = 1.0 if self.latents.space == 'z' else self.deviation
        return scale * self.recipe.latent_noise * left ** 2
