"""How well a picture survives a shift: Eq. C of the paper, Σ min(A, B) / Σ max(A, B) of grey patches.

Similarity rewards blur; read it beside a measure of legibility.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.rendering import render, seed_ws

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's conversion to 'L'


def similarity(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Eq. C for each pair of grey patches: [N, H, W] or [N, 1, H, W] in [0, 1] → [N] in [0, 1].

    Two patches that are black all over are alike: 1.
    """
    if a.shape != b.shape or a.ndim not in (3, 4) or (a.ndim == 4 and a.shape[1] != 1):
        shapes = f'{list(a.shape)} with {list(b.shape)}'
        raise ValueError(f'similarity compares grey patches [N, H, W], not {shapes}')
    common = torch.minimum(a, b).double().flatten(1).sum(1)
    either = torch.maximum(a, b).double().flatten(1).sum(1)
    return torch.where(either > 0, common / either.clamp(min=torch.finfo(torch.float64).tiny), 1.0)


def grey(images: torch.Tensor) -> torch.Tensor:
    """Pictures [N, C, H, W] in [-1, 1] → grey [N, H, W] in [0, 1]: BT.601 luma, seen before black."""
    channels = images.shape[1]
    if channels not in (1, 3, 4):
        raise ValueError(f'pictures have 1, 3 or 4 channels, not {channels}')
    images = (images.float() * 0.5 + 0.5).clamp(0, 1)
    if channels == 1:
        return images[:, 0]
    luma = torch.einsum('nchw,c->nhw', images[:, :3], torch.tensor(LUMA, device=images.device))
    return luma * images[:, 3] if channels == 4 else luma


def patch_at(images: torch.Tensor, dy: int, dx: int, height: int, width: int | None = None) -> torch.Tensor:
    """The height × width patch of [N, H, W] whose top-left pixel is (dy, dx), going round at the borders.

    width: by default the height.
    """
    rows = torch.arange(dy, dy + height, device=images.device) % images.shape[1]
    columns = torch.arange(dx, dx + (width or height), device=images.device) % images.shape[2]
    return images[:, rows[:, None], columns]


def along(direction: str, distances: Iterable[int]) -> list[tuple[int, int]]:
    """Shifts (dy, dx) 'down', 'right' or along the 'diagonal' by each distance in pixels."""
    steps = dict(down=(1, 0), right=(0, 1), diagonal=(1, 1))
    if direction not in steps:
        raise ValueError(f'direction {direction!r}: expected one of {", ".join(steps)}')
    y, x = steps[direction]
    return [(y * distance, x * distance) for distance in distances]


@torch.no_grad()
def shift_similarity(G: torch.nn.Module, shifts: Sequence[tuple[int, int]], seeds: Sequence[int], *,
                     patch: int | None = None, batch: int = 32) -> np.ndarray:
    """Similarity of each seed's standard patch to its shifted ones → float64 [shifts, seeds].

    The patch × patch pixels at the top left, where the paper's digits are (None: half the trained size), and
    those at (dy, dx), where the shift should have moved them; both axes wrap. The stored noise is not moved.
    Conditional networks get class seed mod c_dim. Raises ValueError for shifts that are not whole pixels.
    """
    for dy, dx in shifts:
        if dy != int(dy) or dx != int(dx):
            raise ValueError(f'similarity at the shift {dy},{dx}: expected whole pixels')
    size = min(patch or G.img_resolution // 2, G.img_resolution)
    result = np.empty([len(shifts), len(seeds)])
    for start in range(0, len(seeds), batch):
        ws = seed_ws(G, seeds[start:start + batch])
        standard = patch_at(grey(render(G, ws)), 0, 0, size)
        for row, (dy, dx) in enumerate(shifts):
            moved = grey(render(G, ws, Canvas.identity(G.img_resolution).shifted(dy, dx)))
            result[row, start:start + batch] = similarity(
                standard, patch_at(moved, int(dy), int(dx), size)).cpu().numpy()
    return result
