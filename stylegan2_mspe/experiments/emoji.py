"""Centred, coloured pictures, moved: how much of each is lost, where the whole picture shows it.

Digits lie in a quarter of black; an emoji fills its picture, and what moves goes across the border. No
classifier judges it, so what is lost is counted in pixels, as a share of what two pictures differ by.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from PIL import Image

from stylegan2_mspe import plots
from stylegan2_mspe.experiments.claims import Claim, needs, settled
from stylegan2_mspe.experiments.markdown import table
from stylegan2_mspe.experiments.sheets import sheet
from stylegan2_mspe.framing import frame
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.rendering import render, seed_ws
from stylegan2_mspe.similarity import along

ROLES = ('emoji-baseline', 'emoji-mspe')
PARTS = (2, 4, 6, 8, 10, 12, 14, 16)    # distances, thirty-seconds of the trained size
CELLS = (8, 16)                         # those of them that are whole cells of the 4x4 level
DIRECTIONS = ('right', 'down')
SHOWN = (0, 1, 2, 3)                    # seeds in the picture
BATCH = 32


@dataclasses.dataclass(frozen=True)
class Curve:
    """One network along one direction."""
    network: str
    direction: str
    pixels: list[int]       # shifts round the picture
    lost: list[float]       # 0 = the same pictures, moved; 1 = as different from them as other pictures are


@torch.no_grad()
def measure(networks: Mapping[str, torch.nn.Module], seeds: Sequence[int],
            progress: Callable[[Iterable], Iterable] = iter) -> list[Curve]:
    """Every network at every shift, at psi 1 with the stored noise. `progress` wraps each network's loop over
    batches. Raises ValueError for fewer than two seeds.
    """
    if len(seeds) < 2:
        raise ValueError(f'--seeds={len(seeds)}: expected two or more, to compare different pictures')
    return [curve for name, G in networks.items() for curve in _curves(name, G, seeds, progress)]


def _curves(name: str, G: torch.nn.Module, seeds: Sequence[int], progress) -> list[Curve]:
    distances = [max(1, G.img_resolution * part // 32) for part in PARTS]
    shifts = [shift for direction in DIRECTIONS for shift in along(direction, distances)]
    errors, pictures = torch.zeros(len(shifts), dtype=torch.float64), []
    for start in progress(range(0, len(seeds), BATCH)):
        ws = seed_ws(G, seeds[start:start + BATCH])
        pictures.append(still := render(G, ws).double().cpu())
        for index, shift in enumerate(shifts):
            moved = render(G, ws, Canvas.identity(G.img_resolution).shifted(*shift)).double().cpu()
            errors[index] += (moved - still.roll(shift, (2, 3))).square().sum()
    pictures = torch.cat(pictures)
    different = 2 * pictures.var(dim=0).sum() * len(pictures)       # a mean over pairs, as many as seeds
    lost = (errors / different).view(len(DIRECTIONS), -1).tolist()
    return [Curve(name, direction, distances, values) for direction, values in zip(DIRECTIONS, lost)]


def summary(curves: Sequence[Curve]) -> list[str]:
    """A Markdown table: what is lost, networks and directions by shifts."""
    return table(['lost after', *(f'{pixels} px' for pixels in curves[0].pixels)],
                 [[f'{curve.network}, {curve.direction}', *(f'{lost:.2f}' for lost in curve.lost)]
                  for curve in curves])


def claims(curves: Sequence[Curve]) -> list[Claim]:
    """What the paper says of every dataset: position is an input of MS-PE, and not of the baseline."""
    text = 'at every shift between cells of the 4x4 input MS-PE loses less of its pictures than the baseline'
    baseline, mspe = (_between_cells(curves, label) for label in ROLES)
    if not baseline or not mspe:
        return [needs(text, ROLES)]
    found = (f'{sum(mspe) / len(mspe):.2f} against {sum(baseline) / len(baseline):.2f} in the mean, '
             f'{max(mspe):.2f} against {max(baseline):.2f} at the worst')
    holds = all(ours < theirs for ours, theirs in zip(mspe, baseline, strict=True))
    return [settled(text, found, holds, {}, ROLES)]


def _between_cells(curves: Sequence[Curve], network: str) -> list[float]:
    return [lost for curve in curves if curve.network == network
            for part, lost in zip(PARTS, curve.lost) if part not in CELLS]


def plot(curves: Sequence[Curve]) -> Image.Image:
    """What is lost after shifts to the right on the left, down on the right."""
    return plots.panels([[plots.line_plot(
        {curve.network: ([0, *curve.pixels], [0, *curve.lost])
         for curve in curves if curve.direction == direction},
        title=f'Shifted {direction}', x_label='shift, pixels', y_range=(0, 1.25),
        y_label='lost, of what two pictures differ by') for direction in DIRECTIONS]])


def picture(networks: Mapping[str, torch.nn.Module]) -> Image.Image:
    """The same latents moved, at another size, and with more of the world around them."""
    return sheet(networks, SHOWN, _canvases, 'The same latents, elsewhere')


def _canvases(G: torch.nn.Module) -> dict[str, Canvas | None]:
    R, border = G.img_resolution, G.synthesis.border
    asked = {**{f'--shift={R * part // 32}': dict(shift=(R * part // 32,) * 2) for part in (2, 4, 8, 16)},
             f'--canvas={R}x{R * 2}': dict(box=(R, R * 2)),
             f'--size={R * 3 // 2}x{R * 3 // 2}': dict(size=(R * 3 // 2,) * 2)}
    return {'trained': None, **{label: frame(R, **each, border=border) for label, each in asked.items()}}
