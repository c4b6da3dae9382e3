"""What zero padding tells a network about position (Sec. 3.3): the difference that it makes, by level."""

from typing import NamedTuple

import torch

from stylegan2_mspe import rendering
from stylegan2_mspe.pe import Canvas, Window


class Leak(NamedTuple):
    """How far a picture with the border of training is from one without, as a share of the deviation."""
    levels: dict[int, torch.Tensor]     # [H, W] cells, by the level's trained resolution, coarsest first
    picture: torch.Tensor               # [H, W] pixels


@torch.no_grad()
def leak_map(G: torch.nn.Module, ws: torch.Tensor, canvas: Canvas | None = None, noise_mode: str = 'const',
             noise_seed: int = 0) -> Leak:
    """The leak of ws [N, num_ws, w_dim] on the canvas, by default the trained one.

    A number is the root mean square, over samples and channels, of the difference between border 'zero' and
    'plane' at a place, divided by the standard deviation of what the plane has there at that level. Noise
    mode 'random' would measure the noise; it is refused with a ValueError.
    """
    if noise_mode == 'random':
        raise ValueError("noise mode 'random' for a leak map: expected one that is the same in two pictures")
    canvas = canvas or rendering.trained_canvas(G, 'plane')
    zero, plane = (Window.whole(canvas, border) for border in ('zero', 'plane'))
    with_border, picture = _features(G, ws, zero, noise_mode, noise_seed)
    without, plain = _features(G, ws, plane, noise_mode, noise_seed)
    patches, larger = G.synthesis.places(zero), G.synthesis.places(plane)
    levels = {}
    for resolution, features in with_border.items():
        top, left = (getattr(patches[resolution], axis).start - getattr(larger[resolution], axis).start
                     for axis in ('rows', 'cols'))
        height, width = features.shape[2:]
        shown = without[resolution][:, :, top:top + height, left:left + width]
        levels[resolution] = _distance(features, shown)
    return Leak(levels, _distance(picture, plain))


def _features(G, ws, place, noise_mode, noise_seed) -> tuple[dict[int, torch.Tensor], torch.Tensor]:
    """The feature maps [N, C, H, W] that the levels leave, by resolution, and the picture."""
    found, hooks = {}, []
    for resolution in G.synthesis.block_resolutions:
        def keep(block, _, output):
            found[block.resolution] = output[0].float() if output[0].itemsize < 4 else output[0]
        hooks.append(getattr(G.synthesis, f'b{resolution}').register_forward_hook(keep))
    try:
        return found, rendering.render(G, ws, place, noise_mode, noise_seed)
    finally:
        for hook in hooks:
            hook.remove()


def _distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """[N, C, H, W] twice -> [H, W]"""
    return (first - second).square().mean(dim=(0, 1)).sqrt() / second.std()
