"""The pictures of docs/canvas.md: what one network draws on the canvases of Sec. 3.4, 4.2 and 4.3.

Every picture is as `generate.py` draws it with the options above it, in the resolution of the network.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import images, rendering
from stylegan2_mspe.framing import Repeat, frame
from stylegan2_mspe.leak import leak_map
from stylegan2_mspe.leak_picture import leak_picture
from stylegan2_mspe.pe import Canvas

PLANE = dict(border='plane', noise_mode='anchored')


def pictures(G: torch.nn.Module, seeds: Sequence[int] = (0, 1)) -> dict[str, Image.Image]:
    """The sheets by name, of the first few seeds; lengths are shares of the trained size."""
    ws, R = rendering.seed_ws(G, seeds), G.img_resolution
    return dict(shift=shift(G, ws, R), size=size(G, ws, R), repeat=repeat(G, ws, R),
                extend=extend(G, ws, R), plane=plane(G, ws, R), leak=leak(G, seeds))


def shift(G, ws, R) -> Image.Image:
    """Sec. 3.4: circular shifts by any fraction, and shifts of a world without end."""
    asked = {'unmoved': {}, f'--shift={R // 4}': dict(shift=(R / 4, R / 4)),
             f'--shift=0,{R * 0.39:g}': dict(shift=(0, R * 0.39)),
             f'--shift={R / 2:g}': dict(shift=(R / 2, R / 2)),
             f'--shift={R * 3 // 4},0': dict(shift=(R * 3 / 4, 0)),
             f'--shift={R * 3 // 4},0 --no-wrap': dict(shift=(R * 3 / 4, 0), wrap=False)}
    return sheet(G, ws, {label: frame(R, **each) for label, each in asked.items()})


def size(G, ws, R) -> Image.Image:
    """Sec. 4.2: the same world on more pixels, or a part of it."""
    box = (R // 16, R // 16, R // 2, R // 2)
    text = f'{box[0]},{box[1]},{box[2]}x{box[3]}'
    asked = {'trained size': {}, f'--size={R * 3 // 2}x{R * 3 // 2}': dict(size=(R * 3 // 2, R * 3 // 2)),
             f'--size={R * 2}x{R * 3}': dict(size=(R * 2, R * 3)),
             f'--zoom={text}': dict(zoom=box), f'--zoom={text} --size={R * 2}x{R * 2}': dict(
                 zoom=box, size=(R * 2, R * 2))}
    return sheet(G, ws, {label: frame(R, **each) for label, each in asked.items()})


def repeat(G, ws, R) -> Image.Image:
    """Fig. 7: expansion by repeating what is wanted of the encoding."""
    asked = {'unrepeated': {}, f'--repeat-x=0:{R // 2}x3': dict(repeats=(None, Repeat(0, R // 2, 3))),
             f'--mirror-x=0:{R // 2}x3': dict(repeats=(None, Repeat(0, R // 2, 3, mirror=True))),
             f'both ways, x2': dict(repeats=(Repeat(0, R // 2, 2), Repeat(0, R // 2, 2)))}
    return sheet(G, ws, {label: frame(R, **each) for label, each in asked.items()})


def extend(G, ws, R) -> Image.Image:
    """Sec. 4.3: beyond the border of what was trained."""
    asked = {f'--canvas={R}x{R * 2}': dict(box=(R, R * 2)), f'--canvas={R * 2}x{R * 2}': dict(box=(R * 2, R * 2)),
             f'--canvas={R}x{R * 4} --wrap': dict(box=(R, R * 4), wrap=True)}
    return sheet(G, ws, {label: frame(R, **each) for label, each in asked.items()})


def plane(G, ws, R) -> Image.Image:
    """The border of training against a picture without one, and how anchored noise moves with a shift."""
    asked = {'--border=zero': dict(), '--border=plane': dict(border='plane'),
             'plane, anchored noise': PLANE, f'... --shift={R // 4}': PLANE,
             'difference to the rolled one': None}
    rows = []
    for w in ws[:, None]:
        moved = frame(R, shift=(R / 4, R / 4))
        drawn = [rendering.render(G, w, moved if '--shift' in label else frame(R), **look)[0]
                 for label, look in asked.items() if look is not None]
        rolled = drawn[2].roll((R // 4, R // 4), (1, 2))
        rows.append([*drawn, (drawn[3] - rolled).abs() - 1])
    return images.labelled_grid(rows, [''] * len(rows), list(asked))


def leak(G, seeds: Sequence[int]) -> Image.Image:
    """Sec. 3.3: what padding tells the network about position, level by level."""
    with torch.no_grad():
        return leak_picture(leak_map(G, rendering.seed_ws(G, seeds)))


def sheet(G, ws, canvases: dict[str, Canvas], **look) -> Image.Image:
    """A row for each latent, a column for each canvas."""
    columns = [rendering.render(G, ws, canvas, **look) for canvas in canvases.values()]
    return images.labelled_grid(list(zip(*columns)), [''] * len(ws), list(canvases))


def largest_leak_in_plane(G, ws) -> float:
    """By how much, of 255 levels, a picture on a plane differs from itself shifted by a quarter and rolled."""
    R = G.img_resolution
    still, moved = (rendering.render(G, ws, frame(R, shift=shift), **PLANE)
                    for shift in ((0, 0), (R / 4, R / 4)))
    return float((moved - still.roll((R // 4, R // 4), (2, 3))).abs().max() * 127.5)


def as_array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)
