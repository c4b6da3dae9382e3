"""The pictures of docs/canvas.md: what one network draws on the canvases of Sec. 3.4, 4.2 and 4.3.

Every picture is as `generate.py` draws it with the options above it, in the resolution of the network.
"""

from collections.abc import Sequence

import torch
from PIL import Image

from stylegan2_mspe import images, rendering
from stylegan2_mspe.experiments.sheets import rows_of
from stylegan2_mspe.framing import Repeat, frame
from stylegan2_mspe.leak import leak_map
from stylegan2_mspe.leak_picture import leak_picture

PLANE = dict(border='plane', noise_mode='anchored')


def pictures(G: torch.nn.Module, seeds: Sequence[int]) -> dict[str, Image.Image]:
    """The sheets by name, a row for each seed; lengths are shares of the trained size."""
    ws, R = rendering.seed_ws(G, seeds), G.img_resolution
    sheets = dict(shift=shift, size=size, repeat=repeat, extend=extend, plane=plane)
    return {**{name: draw(G, ws, R) for name, draw in sheets.items()}, 'leak': leak_picture(leak_map(G, ws))}


def numbers(G: torch.nn.Module, seeds: Sequence[int]) -> dict:
    """What the pictures show, measured.

    rolled: by how much, of 255 levels, pictures on a plane with anchored noise differ at most from themselves
    shifted by a quarter of the trained size and rolled back. repeated: the same between the copies of a
    repeated stretch of two trained sizes, farther than the receptive field from its ends. leak: by level, the
    mean of the leak map.
    """
    ws, R = rendering.seed_ws(G, seeds), G.img_resolution
    still, moved = (rendering.render(G, ws, frame(R, shift=distance, border='plane'), **PLANE)
                    for distance in ((0, 0), (R / 4, R / 4)))
    leak = leak_map(G, ws)
    means = {**{str(level): values for level, values in leak.levels.items()}, 'picture': leak.picture}
    return dict(rolled=levels(moved.roll((-R // 4, -R // 4), (2, 3)), still), repeated=copies(G, ws, R),
                leak={name: float(values.mean()) for name, values in means.items()})


def copies(G, ws, R) -> float:
    """By how much the inner halves of two copies of a stretch of four trained sizes differ at most."""
    canvas = frame(R, (R, 6 * R), repeats=(None, Repeat(-R, 3 * R, 2)), wrap=False)
    drawn = rendering.render(G, ws, canvas, **PLANE)
    first = R * 3 // 2                          # the stretch begins half a trained size after the canvas
    return levels(*(drawn[:, :, :, first + start:first + start + 2 * R] for start in (R, 5 * R)))


def levels(first: torch.Tensor, second: torch.Tensor) -> float:
    """The largest difference of two pictures, in 255ths of the range."""
    return float((first - second).abs().max() * 127.5)


def shift(G, ws, R) -> Image.Image:
    """Sec. 3.4: circular shifts by any fraction, and shifts of a world without end."""
    asked = {'unmoved': {}, f'--shift={R // 4}': dict(shift=(R / 4, R / 4)),
             f'--shift=0,{R * 3 / 8 + 0.5:g}': dict(shift=(0, R * 3 / 8 + 0.5)),
             f'--shift={R / 2:g}': dict(shift=(R / 2, R / 2)),
             f'--shift={R * 3 // 4},0': dict(shift=(R * 3 / 4, 0)),
             f'--shift={R * 3 // 4},0 --no-wrap': dict(shift=(R * 3 / 4, 0), wrap=False)}
    return sheet(G, ws, asked)


def size(G, ws, R) -> Image.Image:
    """Sec. 4.2: the same world on more pixels, or a part of it."""
    box = (R // 16, R // 16, R // 2, R // 2)
    text = f'{box[0]},{box[1]},{box[2]}x{box[3]}'
    asked = {'trained size': {}, f'--size={R * 3 // 2}x{R * 3 // 2}': dict(size=(R * 3 // 2, R * 3 // 2)),
             f'--size={R * 2}x{R * 3}': dict(size=(R * 2, R * 3)),
             f'--zoom={text}': dict(zoom=box), f'--zoom={text} --size={R * 2}x{R * 2}': dict(
                 zoom=box, size=(R * 2, R * 2))}
    return sheet(G, ws, asked)


def repeat(G, ws, R) -> Image.Image:
    """Fig. 7: expansion by repeating what is wanted of the encoding."""
    asked = {'unrepeated': {}, f'--repeat-x=0:{R // 2}x3': dict(repeats=(None, Repeat(0, R // 2, 3))),
             f'--mirror-x=0:{R // 2}x3': dict(repeats=(None, Repeat(0, R // 2, 3, mirror=True))),
             'both ways, x2': dict(repeats=(Repeat(0, R // 2, 2), Repeat(0, R // 2, 2)))}
    return sheet(G, ws, asked)


def extend(G, ws, R) -> Image.Image:
    """Sec. 4.3: beyond the border of what was trained."""
    asked = {f'--canvas={R}x{R * 2}': dict(box=(R, R * 2)),
             f'--canvas={R * 2}x{R * 2}': dict(box=(R * 2, R * 2)),
             f'--canvas={R}x{R * 4} --wrap': dict(box=(R, R * 4), wrap=True)}
    return sheet(G, ws, asked)


def plane(G, ws, R) -> Image.Image:
    """The border of training against a picture without one, and how anchored noise moves with a shift."""
    asked = {'--border=zero': dict(border='zero'), '--border=plane': dict(border='plane'),
             'plane, anchored noise': PLANE, f'... --shift={R // 4}': PLANE,
             'difference to the rolled one': None}
    rows = []
    for w in ws[:, None]:
        shifts = [(R / 4, R / 4) if '--shift' in label else (0, 0) for label in asked]
        drawn = [rendering.render(G, w, frame(R, shift=shift, border=look['border']), **look)[0]
                 for shift, look in zip(shifts, asked.values()) if look is not None]
        rolled = drawn[2].roll((R // 4, R // 4), (1, 2))
        rows.append([*drawn, (drawn[3] - rolled).abs() - 1])
    return images.labelled_grid(rows, [''] * len(rows), list(asked))


def sheet(G, ws, asked: dict[str, dict]) -> Image.Image:
    """A row for each latent, a column for each canvas, asked for by options of `frame`."""
    canvases = {label: frame(G.img_resolution, **each, border=G.synthesis.border)
                for label, each in asked.items()}
    return images.labelled_grid(rows_of(G, ws, canvases), [''] * len(ws), list(canvases))
