"""What the programs that draw from a network share: options, opening it, latents of seeds and files."""

import contextlib
import math
import os
import zipfile

import click

from tools import cli
from tools.option_types import EditType, SizeType

MAX_LATENT_BYTES = 1 << 30      # of a file of latents, unpacked


def _finite(ctx, param, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter(f'found {value}, expected a number such as 0.7')
    return value


OPTIONS = {
    'network': click.option('--network', metavar='PKL', help='Network file or URL  [default: newest snapshot '
                            'under ./training-runs, else the bundled network]'),
    'trunc': click.option('--trunc', 'psi', type=float, callback=_finite, default=1, show_default=True,
                          help='Truncation psi'),
    'class': click.option('--class', 'class_idx', type=int, help='Class label of a conditional network'),
    'noise-mode': click.option('--noise-mode', type=click.Choice(['const', 'random', 'anchored', 'none']),
                               default='const', show_default=True, help='Noise stored in the network, '
                               'fresh noise, noise that belongs to its place in the world and moves with it, '
                               'or none'),
    'noise-seed': click.option('--noise-seed', type=click.IntRange(0, 2 ** 63 - 1), default=0,
                               show_default=True, help='Which world of --noise-mode=anchored'),
    'edit': click.option('--edit', 'edits', type=EditType(), multiple=True,
                         help='Move the latents along a direction of SeFa, the strongest is 0; several times '
                              'for several'),
    'directions': click.option('--directions', metavar='FILE', help="Those of --edit, as tools/sefa.py wrote "
                               "them  [default: of all the network's layers]"),
    'canvas': click.option('--canvas', 'box', metavar='HxW', type=SizeType(), help='Draw this much of '
                           'the world about the trained picture  [default: the trained size]'),
    'size': click.option('--size', metavar='HxW', type=SizeType(),
                         help='Draw the canvas on this many pixels  [default: one to one]'),
    'wrap': click.option('--wrap/--no-wrap', default=None, help='Shift round in a circle, or extrapolate  '
                         '[default: round along an axis where the canvas has the trained length]'),
    'border': click.option('--border', type=click.Choice(['zero', 'plane']),
                           help='What is beyond the canvas: zeros, or the world going on, so that the '
                           'picture has no border effect  [default: as the network was trained]'),
    'precision': click.option('--precision', type=click.Choice(['fp32', 'fp16', 'bf16', 'fp64']),
                              default='fp32', show_default=True, help='What to compute in; of a GAN, fp16 '
                              'and bf16 concern the levels trained in half precision'),
    'device': click.option('--device', type=click.Choice(['auto', 'cpu', 'cuda']), default='auto',
                           show_default=True, help='Where to compute'),
}

options = cli.choose_options(OPTIONS)     # adds those of the names given to a program


# ----- the network ------------------------------------------------------------------------------------------


def open_network(network: str | None, device: str, precision: str):
    """(G, path): the generator, ready on the device, of that file or of the default one, which is said."""
    where = cli.pick_device(device)
    from stylegan2_mspe import legacy, rendering
    from stylegan2_mspe.default_network import default_network

    network = network or default_network()
    print(f'Network: {network}')
    return rendering.prepare(legacy.load_network_pkl(network)['G_ema'], where, precision), network


def class_of(G, class_idx: int | None) -> int:
    """Checks --class against the network; 0 for a network without classes."""
    if G.c_dim == 0:
        if class_idx is not None:
            print('Note: --class is not used, the network has no classes.')
        return 0
    if class_idx is None or not 0 <= class_idx < G.c_dim:
        found = 'nothing' if class_idx is None else class_idx
        raise ValueError(f'--class: found {found}, expected 0 to {G.c_dim - 1} for this conditional network')
    return class_idx


@contextlib.contextmanager
def naming(option: str):
    """Puts the option in front of what is wrong with it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{option}: {error}') from error


def note_extrapolation(G, canvases) -> None:
    """One line where a canvas shows much more of the world than the network has seen."""
    from stylegan2_mspe import rendering
    from stylegan2_mspe.pe import get_plan

    if any(map(rendering.is_extrapolated, canvases)):
        periodic = get_plan(getattr(G, 'synthesis', G).pe).encoding == 'periodic'
        print(f'Note: the world of this network repeats every {G.img_resolution} pixels.' if periodic else
              f'Note: beyond three times the trained {G.img_resolution} pixels the picture is extrapolated.')


def check_noise_seed(noise_mode: str) -> None:
    """Raises ValueError for --noise-seed with noise that has none."""
    cli.refuse_unused('--noise-seed', noise_mode == 'anchored', f'--noise-mode={noise_mode}',
                      '--noise-mode=anchored with it')


# ----- latents ----------------------------------------------------------------------------------------------


def seed_source(G, seeds: list[int], class_idx: int, psi: float):
    """A function (start, stop) → ws [stop - start, num_ws, w_dim] of those seeds."""
    import torch

    from stylegan2_mspe import rendering

    def latents(start, stop):
        z = torch.from_numpy(rendering.seed_latents(seeds[start:stop], G.z_dim))
        z = z.to(next(G.parameters()).device)
        with torch.no_grad():
            return G.mapping(z, rendering.class_labels(G, [class_idx] * len(z)), truncation_psi=psi)
    return latents


def few_latents(G, seeds: list[int] | None, projected_w: str | None, class_idx: int | None, psi: float):
    """(ws [N, num_ws, w_dim], captions) of the file, or of the seeds: 0 to 3 where neither is given."""
    if projected_w is not None:
        ws = read_projected_w(projected_w, G)
        return ws, [f'w {index}' for index in range(len(ws))]
    seeds = range(4) if seeds is None else seeds
    ws = seed_source(G, list(seeds), class_of(G, class_idx), psi)(0, len(seeds))
    return ws, [f'seed {seed}' for seed in seeds]


def edited(latents, G, edits, directions: str | None):
    """The function (start, stop) → ws with its latents moved along directions, [(index, strength), ...]."""
    from stylegan2_mspe import sefa

    if not edits:
        if directions:
            print('Note: --directions is not used without --edit.')
        return latents
    found = sefa.load_directions(directions, G.num_ws, G.w_dim) if directions else sefa.factorise(G)
    for index, _ in edits:
        sefa.check_direction(found, index)

    def moved(start, stop):
        ws = latents(start, stop)
        for index, strength in edits:
            ws = sefa.edit(ws, found, index, strength)
        return ws
    return moved


def unused_beside_projected_w(psi: float) -> list[str]:
    """Those of the options typed that say which latents to draw, which the file says. A psi of 1 is right."""
    options = ['--seeds', '--class'] if psi == 1 else ['--seeds', '--trunc', '--class']
    return [option for option in options if cli.typed(option)]


def check_projected_w(projected_w: str | None, psi: float) -> None:
    """Raises ValueError for such options. StyleGAN2-ADA's own command, generate, only says so: there, such
    lines have always drawn the file.
    """
    for option in unused_beside_projected_w(psi) if projected_w is not None else ():
        raise ValueError(f'{option}: found --projected-w={projected_w}, expected one of the two')


def read_projected_w(path: str, G, option: str = '--projected-w'):
    """ws [N, num_ws, w_dim] of an .npz file, key `w` as the projector writes it, or of an .npy file.

    A single latent may lack its first dimension. Raises ValueError, OSError.
    """
    import numpy as np
    import torch

    expected = f'expected an .npz or .npy file with numbers w of shape [N, {G.num_ws}, {G.w_dim}]'
    if not os.path.isfile(path):
        raise ValueError(f'{option}={path}: found no such file, {expected}')
    try:
        ws = np.array(_read_w(path), dtype=np.float64)
    except Exception as error:  # numpy raises whatever zip, header or data stumble over
        raise ValueError(f'{option}={path}: found {error}, {expected}') from error
    shape = list(ws.shape)
    ws = ws[np.newaxis] if ws.ndim == 2 else ws
    if ws.ndim != 3 or ws.shape[1:] != (G.num_ws, G.w_dim) or not len(ws) or not np.isfinite(ws).all():
        found = f'w of shape {shape}' + ('' if np.isfinite(ws).all() else ' that is not finite')
        raise ValueError(f'{option}={path}: found {found}, {expected}')
    return torch.from_numpy(ws).to(next(G.parameters()))


def _read_w(path: str):
    """The array in an .npy file, or `w` in an .npz; nothing is allocated that the file does not hold."""
    import numpy as np

    if not zipfile.is_zipfile(path):
        return np.load(path, mmap_mode='r', allow_pickle=False)
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    if 'w.npy' not in sizes:
        raise ValueError(f'no w but {", ".join(sorted(sizes)[:4])}')
    if sizes['w.npy'] > MAX_LATENT_BYTES:
        raise ValueError(f'{sizes["w.npy"]} bytes of w')
    with np.load(path, allow_pickle=False) as file:
        return file['w']
