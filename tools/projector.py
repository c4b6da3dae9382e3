"""Projects pictures into a network: the latents, and the places, at which it draws them."""

import contextlib
import dataclasses
import math
import os

import click

from tools import cli, drawing
from tools.option_types import ShiftType

MAX_FRAMES = 200        # of the film
MAX_STARTS = 10000      # latents that are drawn for their mean
FPS = 10


class AutoType(click.ParamType):
    """What another type takes, or 'auto'."""

    def __init__(self, inner):
        self.inner, self.name = inner, f'{inner.name}|auto'

    def convert(self, value, param, ctx):
        return value if value == 'auto' else self.inner.convert(value, param, ctx)


@click.command(context_settings=cli.SETTINGS)
@drawing.options('network')
@click.option('--target', 'targets', metavar='FILE', multiple=True, required=True,
              help='Picture to project, grey, RGB or RGBA, of any size; several times for several at once')
@click.option('--fit', type=click.Choice(['crop', 'pad']),
              help='How a target gets the trained size: its middle square, or all of it on black  '
                   '[default: crop; pad with --recipe=paper]')
@click.option('--as-is', is_flag=True, help='Keep the size of the target: draw on a canvas as large')
@click.option('--space', type=click.Choice(['w', 'w+', 'z']), default='w', show_default=True,
              help='What is optimised: a w for all layers, one for each, or z')
@click.option('--optimize-noise', type=bool, default=True, show_default=True,
              help='Optimise the noise maps, too; otherwise those stored in the network are used')
@click.option('--shift', type=AutoType(ShiftType()), default='0', show_default=True,
              help='Where the target is seen: moved down and right by K, or by DY,DX, pixels of the trained '
                   'picture; auto finds it')
@click.option('--zoom', type=AutoType(click.FLOAT), metavar='Z|auto', default='1', show_default=True,
              help='How large it is seen: output pixels per pixel of the trained picture, magnified about '
                   'its top-left corner after the shift; auto finds it')
@click.option('--wrap/--no-wrap', default=None, help='Shift round in a circle, or extrapolate  [default: '
              'round along an axis where the canvas has the trained length, unless there is a zoom]')
@click.option('--loss', 'loss_name', type=click.Choice(['auto', 'vgg', 'lpips', 'disc', 'pyramid', 'pixel']),
              default='auto', show_default=True, help='What is compared: VGG16 features, the LPIPS library, '
              "the discriminator's features, a Laplacian pyramid, or pixels at several scales; auto takes "
              'the first that is at hand')
@click.option('--detector', metavar='FILE', help='TorchScript network for --loss=vgg  [default: downloaded]')
@click.option('--recipe', 'recipe_name', type=click.Choice(['stylegan2', 'paper']), default='stylegan2',
              show_default=True, help="StyleGAN2-ADA's hyper-parameters or those of the MS-PE paper")
@click.option('--num-steps', type=click.IntRange(min=1), default=1000, show_default=True)
@click.option('--num-starts', type=click.IntRange(1, MAX_STARTS), default=1, show_default=True,
              help='Start from the best of so many latents; 1 is the mean, of z the best of 64')
@click.option('--init', metavar='FILE', help='Start from the latents of this .npz (key w) or .npy file')
@click.option('--seed', type=click.IntRange(0, 2 ** 32 - 1), default=303, show_default=True)
@drawing.options('class', 'device')
@click.option('--save-video', type=bool, default=True, show_default=True,
              help='Write proj.mp4, or .gif without imageio-ffmpeg')
@click.option('--outdir', default='./out', show_default=True)
def main(targets, network, fit, as_is, shift, zoom, wrap, loss_name, detector, recipe_name, num_steps, init,
         class_idx, device, save_video, outdir, **wishes):
    """Projects pictures into a network: finds the latent, and with --shift=auto and --zoom=auto the place,
    at which it draws them. Writes target.png, proj.png, projected_w.npz (the latents), projected_place.npz
    (places and noise maps), sheet.png and a film.

    \b
    python projector.py --target=face.png
    python projector.py --target=group.jpg --as-is --shift=auto --zoom=auto --space=w+
    python generate.py --projected-w=out/projected_w.npz --shift=16
    """
    find = tuple(name for name, value in (('shift', shift), ('zoom', zoom)) if value == 'auto')
    check_options(as_is, loss_name, init, find, wishes['space'])
    from stylegan2_mspe.inversion import inverting, projection
    from stylegan2_mspe.shortage import explained
    from stylegan2_mspe.rendering import class_labels

    G, D = open_pair(network, device)
    how = 'as-is' if as_is else fit or ('pad' if recipe_name == 'paper' else 'crop')
    pictures = read_targets(targets, how, G)
    place = wanted_place(G, pictures.shape[2:], len(pictures), shift, zoom, wrap)
    kind = open_loss(loss_name, pictures, D, detector)
    check_memory(G, place, find, kind, pictures)
    recipe = dataclasses.replace(projection.RECIPES[recipe_name], steps=num_steps)
    wish = inverting.Wish(find=find, recipe=recipe, **wishes)
    ws = drawing.read_projected_w(init, G, '--init') if init else None
    if ws is not None and len(ws) not in (1, len(pictures)):
        raise ValueError(f'--init={init}: found {len(ws)} latents, expected 1 or {len(pictures)}')
    class_idx = drawing.class_of(G, class_idx)
    labels = class_labels(G, [class_idx]) if G.c_dim else None

    what = f'--target: projecting {len(pictures)} at a time'
    with explained(what, 'fewer or smaller ones', pictures.device):
        started = inverting.begin(G, pictures, kind.against(pictures), place, wish, init=ws, labels=labels,
                                  progress=lambda tasks: cli.progress(tasks, len(tasks), 'Searching'))
        run(started, pictures, outdir, film_name(outdir) if save_video else None, find)


# ----- what is asked for ------------------------------------------------------------------------------------


def check_options(as_is: bool, loss_name: str, init: str | None, find: tuple[str, ...], space: str) -> None:
    """Raises ValueError for options that nothing comes of: beside a start that is given, or searched for, and
    that a w is made of, others are not tried.
    """
    cli.refuse_unused('--fit', not as_is, '--as-is', 'one of the two')
    cli.refuse_unused('--detector', loss_name in ('auto', 'vgg'), f'--loss={loss_name}', '--loss=vgg with it')
    start = f'--init={init}' if init else f'--{find[0]}=auto' if find else None
    cli.refuse_unused('--num-starts', start is None or space == 'z', f'{start}, which says where to start',
                      'one of the two')


def open_pair(network: str | None, device: str):
    """(G, D) of the file or of the default network, which is said; D is None where there is none."""
    from stylegan2_mspe import legacy, rendering
    from stylegan2_mspe.default_network import default_network

    where = cli.pick_device(device)
    network = network or default_network()
    print(f'Network: {network}')
    content = legacy.load_network_pkl(network)
    D = content['D']
    return rendering.prepare(content['G_ema'], where), D and rendering.prepare(D, where)


def read_targets(paths: tuple[str, ...], how: str, G):
    """Pictures [N, C, H, W] on the network's device. Raises ValueError where sizes differ."""
    import numpy as np

    from stylegan2_mspe import rendering
    from stylegan2_mspe.inversion.target import as_tensor, read_target

    pixels = [read_target(path, how, G.img_resolution, G.img_channels) for path in paths]
    sizes = sorted({f'{one.shape[0]}x{one.shape[1]}' for one in pixels})
    if len(sizes) > 1:
        raise ValueError(f'--as-is: found targets of {" and ".join(sizes)}, expected one size')
    rendering.batch_that_fits(G, pixels[0].shape[:2], f'--target={paths[0]}')
    return as_tensor(np.stack(pixels)).to(next(G.parameters()).device)


def wanted_place(G, size, count: int, shift, zoom, wrap: bool | None):
    """Where the targets are seen; what is to be found begins unmoved and unmagnified."""
    from stylegan2_mspe.inversion.place import Place, check_in_sight

    if zoom != 'auto' and not (zoom > 0 and math.isfinite(zoom)):
        raise ValueError(f'--zoom: found {zoom:g}, expected a positive number or auto')
    if wrap is None:
        wraps = tuple(length == G.img_resolution and zoom == 1 for length in size)
    else:
        wraps = (wrap, wrap)
    values = (0.0, 0.0) if shift == 'auto' else shift, 1.0 if zoom == 'auto' else zoom
    place = Place.of(G.img_resolution, tuple(size), [values[0]] * count, [values[1]] * count, wraps,
                     next(G.parameters()).device)
    if shift != 'auto':
        check_in_sight(place)
    return place


def check_memory(G, place, find: tuple[str, ...], kind, targets) -> None:
    """Raises ValueError where a step for all targets at a time takes more memory than is free. A search for
    places takes steps of its own, for several starts each, without the loss.
    """
    from stylegan2_mspe import free_memory
    from stylegan2_mspe.inversion.projection import sample_bytes
    from stylegan2_mspe.inversion.search import STARTS

    count, device = len(place.shift), place.shift.device
    each = sample_bytes(G, place, kind.against(targets[:1]), kind.network)
    each = max(each, STARTS * sample_bytes(G, place)) if find else each
    fitting = free_memory.batch_that_fits(each, device, '--target: a step for one picture', count)
    if fitting < count:
        raise ValueError(f'--target: found {count} pictures, expected at most {fitting} at a time: a step '
                         f'takes about {free_memory.in_gigabytes(each)} for each')


def open_loss(name: str, pictures, D, detector: str | None):
    """The kind of loss for such pictures; says which one 'auto' is."""
    from stylegan2_mspe.inversion import losses

    if name == 'auto':
        name = losses.best_at_hand(D, detector)
        print(f'Loss: {name} ({losses.DESCRIPTIONS[name]})')
    if name == 'disc' and D is not None and max(pictures.shape[2:]) > 4 * D.img_resolution:
        print('Note: --loss=disc sees far more of the world than it has been trained on.')
    return losses.open_loss(name, pictures.device, D, detector)


def film_name(outdir: str) -> str:
    from stylegan2_mspe import video
    return os.path.join(outdir, 'proj.mp4' if video.find_ffmpeg() else 'proj.gif')


# ----- the run ----------------------------------------------------------------------------------------------


def run(projection, targets, outdir: str, film: str | None, find: tuple[str, ...]) -> None:
    """Optimises, and writes what was best, also where it is interrupted or diverges."""
    os.makedirs(outdir, exist_ok=True)
    curve, steps = [], projection.recipe.steps
    every = -(-steps // MAX_FRAMES)
    try:
        with film_of(film, targets) as add:
            for step in cli.progress(range(steps), steps, Label(curve)):
                curve.append(projection.step().tolist())
                if step % every == 0 or step == steps - 1:
                    add(projection.pictures)
    finally:
        if curve:
            save(projection, targets, curve, outdir)
    where = describe_places(projection.best.place, find)
    print(f'Loss {summary(projection.best.loss.tolist())}{where}')
    print(f'Wrote {len(targets)} projection{"s" if len(targets) > 1 else ""} to {outdir}')


class Label:
    """'Projecting, loss 0.123', as it is when it is shown."""

    def __init__(self, curve: list[list[float]]):
        self.curve = curve

    def __str__(self) -> str:
        return f'Projecting, loss {summary(self.curve[-1])}' if self.curve else 'Projecting'


def summary(losses: list[float]) -> str:
    return f'{sum(losses) / len(losses):.4g}'


def describe_places(place, find: tuple[str, ...]) -> str:
    """', found at 12.0 down, 3.5 right, zoom 1.98' for what was looked for."""
    words = []
    for (down, right), (zoom,) in zip(centred(place).tolist(), place.zoom.tolist()):
        parts = [f'{down:.2f} down, {right:.2f} right'] if 'shift' in find else []
        words.append(', '.join(parts + [f'zoom {zoom:.3f}'] * ('zoom' in find)))
    return f'; found at {"; ".join(words)}' if find else ''


def centred(place):
    """Shifts [N, 2] in pixels, those that wrap within half a turn."""
    import torch

    half = place.resolution / 2
    turned = half - (half - place.shift).remainder(place.resolution)
    return torch.where(torch.tensor(place.wraps, device=turned.device), turned, place.shift)


@contextlib.contextmanager
def film_of(path: str | None, targets):
    """A function that adds a frame: targets above, or left of, what is drawn."""
    import torch

    from stylegan2_mspe import images, video

    if path is None:
        yield lambda pictures: None
        return
    with video.open_video(path, FPS) as write:
        def add(pictures):
            rows = torch.cat([torch.cat(list(pair), dim=2) for pair in zip(targets, pictures)], dim=1)
            write(images.to_pillow(rows))
        yield add


def save(projection, targets, curve, outdir: str) -> None:
    """Writes targets, projections, latents, places with noise maps, and the sheet."""
    import torch

    from stylegan2_mspe import images
    from stylegan2_mspe.inversion.projection import draw

    best = projection.best
    with torch.no_grad():
        pictures = draw(projection.G, best.ws, best.place, maps=best.maps, fixed=True)
    for name, batch in (('target', targets), ('proj', pictures)):
        for index, picture in enumerate(batch):
            number = f'{index:02d}' if len(batch) > 1 else ''
            images.save_png(picture, os.path.join(outdir, f'{name}{number}.png'))
    save_arrays(os.path.join(outdir, 'projected_w.npz'), w=best.ws)
    maps = {f'noise.{name}': map[:, 0] for name, map in best.maps.items()}
    size, wraps = map(torch.tensor, (best.place.size, best.place.wraps))
    save_arrays(os.path.join(outdir, 'projected_place.npz'), shift=centred(best.place),
                zoom=best.place.zoom[:, 0], size=size, wraps=wraps, loss=best.loss, **maps)
    images.save_png(sheet(targets, pictures, curve), os.path.join(outdir, 'sheet.png'))


def save_arrays(path: str, **arrays) -> None:
    import numpy as np

    from stylegan2_mspe.files import atomic_write

    with atomic_write(path) as file:
        np.savez(file, **{name: value.cpu().numpy() for name, value in arrays.items()})


def sheet(targets, pictures, curve):
    """Targets, projections and the loss of every step, as one picture."""
    from PIL import Image

    from stylegan2_mspe import images, plots

    shown = range(min(len(targets), 8))
    table = images.labelled_grid([[targets[i], pictures[i]] for i in shown], [''] * len(shown),
                                 ['target', 'projection'])
    curves = {f'target {i}': (range(1, len(curve) + 1), [math.log10(max(step[i], 1e-12)) for step in curve])
              for i in shown}
    plot = plots.line_plot(curves, x_label='step', y_label='loss, log10')
    whole = Image.new('RGB', (max(table.width, plot.width), table.height + plot.height), 'white')
    whole.paste(table, (0, 0))
    whole.paste(plot, (0, table.height))
    return whole
