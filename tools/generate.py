"""Draws pictures from a network: seeds or projected latents, any part of the world, at any size."""

import os
import sys

import click

from tools import cli, drawing
from tools.option_types import BoxType, MemoryType, RepeatType, SeedsType, ShiftType
from tools.sheet import ContactSheet, picture_path, save_picture

MOST_WHOLE = 2e9    # bytes that drawing a picture at once may take
MOST_SHOWN = 1 << 24    # pixels of a sheet of pictures drawn in tiles
MOST_LEAKS = 4      # latents of a leak map, whose levels are all held at a time


def repeat_options(program):
    """--repeat-y, --repeat-x, --mirror-y, --mirror-x."""
    for name, what in (('mirror', 'The same, every second copy turned round'),
                       ('repeat', 'Show the pixels A to B of the trained world N times in a row')):
        for axis, way in (('x', 'side by side'), ('y', 'one below the other')):
            option = click.option(f'--{name}-{axis}', type=RepeatType(), metavar='A:BxN',
                                  help=f'{what}, {way}')
            program = option(program)
    return program


@click.command(context_settings=cli.SETTINGS)
@drawing.options('network')
@click.option('--seeds', type=SeedsType(),
              help='Random seeds, such as 0-15 or 3,5,8  [default: 0-15, or 0 where a picture is drawn in '
                   'tiles]')
@click.option('--projected-w', metavar='FILE',
              help='Draw the latents of this .npz (key w) or .npy file instead of seeds')
@drawing.options('trunc', 'edit', 'directions', 'class', 'noise-mode', 'noise-seed')
@click.option('--shift', 'shifts', type=ShiftType(), multiple=True,
              help='Move the content down and right by K, or down by DY and right by DX, pixels of the '
                   'trained picture; give it several times for several columns')
@drawing.options('canvas')
@repeat_options
@click.option('--zoom', metavar='Y,X,HxW', type=BoxType(),
              help='Show this box only, enlarged; counted, as the repeats are, in pixels from the top left '
                   'of the trained picture')
@drawing.options('size', 'wrap', 'border')
@click.option('--window', metavar='Y,X,HxW', type=BoxType(whole=True),
              help='Draw only this box of the output pixels: that part of the whole picture')
@click.option('--tile', metavar='PIXELS', type=click.IntRange(min=1),
              help='Draw in tiles of this side, into a file that grows  [default: 1024, on CUDA '
                   '512; small pictures are drawn whole]')
@click.option('--max-memory', type=MemoryType(),
              help='Draw in tiles for which this much memory will do, such as 2G, beyond what the program '
                   'itself takes')
@click.option('--continue', 'resume', is_flag=True,
              help='Go on with the pictures that were interrupted while they were drawn in tiles; expects '
                   'the same options')
@click.option('--leak-map', is_flag=True,
              help='Also write leak.png: what zero padding changes (against --border=plane), level by level, '
                   'as a share of the deviation there')
@drawing.options('precision', 'device')
@click.option('--outdir', default='./out', show_default=True, help='Folder for the pictures')
def main(network, seeds, projected_w, psi, edits, directions, class_idx, shifts, tile, max_memory, resume,
         leak_map, precision, device, outdir, noise_mode, noise_seed, border, window, **framing):
    """Draws pictures from a network. With no option at all: seeds 0-15 of the newest, or the bundled,
    network.

    \b
    python generate.py --shift=0 --shift=16 --shift=0,32     # three columns
    python generate.py --canvas=128x256 --wrap               # a larger canvas, on which the world repeats
    python generate.py --size=512x512                        # the same world, finer
    python generate.py --repeat-x=0:32x8 --seeds=2           # a stretch of it, eight times
    python generate.py --canvas=16384x16384 --wrap --max-memory=2G --noise-mode=anchored
    """
    check_options(projected_w, psi, noise_mode)
    from stylegan2_mspe.large_picture import Look

    G, network = drawing.open_network(network, device, precision)
    shifts = list(dict.fromkeys(shifts)) or [(0.0, 0.0)]
    canvases = [canvas_of(G, shift, border, **framing) for shift in shifts]
    shown = window[2:] if window else (canvases[0].height, canvases[0].width)
    in_tiles = bool(tile or max_memory or resume or window) or not fits_whole(G, shown)
    if projected_w is None:
        seeds = seeds or range(1 if in_tiles else 16)
    names, captions, latents = sources(G, seeds, projected_w, class_idx, psi)
    latents = drawing.edited(latents, G, edits, directions)
    drawing.note_extrapolation(G, canvases)
    title = f'{os.path.basename(network)}, {shown[0]} x {shown[1]}'

    look = Look(noise_mode=noise_mode, noise_seed=noise_seed, border=border, window=window)
    if in_tiles and leak_map:
        raise ValueError('--leak-map: found a picture drawn in tiles, expected one that is drawn whole')
    if in_tiles:
        pick_tile = tile_picker(G, shown, tile, max_memory, resume)
        draw_in_tiles(G, names, latents, canvases, shifts, look, pick_tile, resume, outdir)
        draw_sheet_of_files(shown, names, captions, shifts, title, outdir)
    else:
        draw_sheet(G, names, latents, canvases, shifts, look, captions, title, outdir)
        if leak_map:
            canvases = [canvas_of(G, shift, 'plane', **framing) for shift in shifts]
            draw_leak_maps(G, latents(0, min(len(names), MOST_LEAKS)), canvases, shifts, look, outdir)


def check_options(projected_w, psi, noise_mode):
    """Raises ValueError for options that nothing comes of; one that StyleGAN2-ADA leaves aside is noted."""
    drawing.check_noise_seed(noise_mode)
    cli.refuse_unused('--max-memory', not cli.typed('--tile'), '--tile', 'one of the two')
    for option in drawing.unused_beside_projected_w(psi) if projected_w is not None else ():
        print(f'Note: {option} is not used with --projected-w.')


def sources(G, seeds, projected_w, class_idx, psi):
    """(names of files, captions, function (start, stop) → ws) of the seeds, or of the latents in a file."""
    if projected_w is None:
        latents = drawing.seed_source(G, list(seeds), drawing.class_of(G, class_idx), psi)
        return [f'seed{seed:04d}' for seed in seeds], [f'seed {seed}' for seed in seeds], latents
    ws = drawing.read_projected_w(projected_w, G)
    numbers = range(len(ws))
    return [f'proj{i:02d}' for i in numbers], [f'w {i}' for i in numbers], lambda start, stop: ws[start:stop]


def canvas_of(G, shift, border, box, size, wrap, zoom, repeat_y, repeat_x, mirror_y, mirror_x):
    """The canvas that the options ask for, with that border (None: the network's). Raises ValueError."""
    from stylegan2_mspe.framing import Repeat, frame

    repeats = []
    for axis, repeat, mirror in (('y', repeat_y, mirror_y), ('x', repeat_x, mirror_x)):
        if repeat and mirror:
            raise ValueError(f'--repeat-{axis}, --mirror-{axis}: found both, expected one of them')
        repeats.append(Repeat(*(repeat or mirror), bool(mirror)) if repeat or mirror else None)
    return frame(G.img_resolution, box, shift, tuple(repeats), zoom, size, wrap, border or G.synthesis.border)


# ----- pictures that fit into the memory --------------------------------------------------------------------


def fits_whole(G, shown: tuple[int, int]) -> bool:
    """Whether a picture of that size is drawn at once; larger ones are no slower in tiles."""
    from stylegan2_mspe import free_memory, rendering

    usable = free_memory.usable(next(G.parameters()).device)
    return rendering.picture_bytes(G, *shown) <= min(MOST_WHOLE, usable)


def draw_sheet(G, names, latents, canvases, shifts, look, captions, title, outdir) -> None:
    """Writes a file for each latent at each shift, and grid.png of all."""
    from stylegan2_mspe import rendering

    shown = canvases[0].height, canvases[0].width
    batch = rendering.batch_that_fits(G, shown, f'--canvas={shown[0]}x{shown[1]}')
    os.makedirs(outdir, exist_ok=True)
    sheet = ContactSheet(len(names), shown, captions, shifts)
    tasks = [(start, column) for start in range(0, len(names), batch) for column in range(len(shifts))]
    for start, column in cli.progress(tasks, total=len(tasks), label='Drawing'):
        stop = min(start + batch, len(names))
        pictures = rendering.render(G, latents(start, stop), canvases[column], look.noise_mode,
                                    look.noise_seed, look.border)
        for index, picture in zip(range(start, stop), pictures):
            sheet.add(index, column, save_picture(picture, outdir, names[index], shifts, column))
    sheet.save(os.path.join(outdir, 'grid.png'), title)
    print(f'Wrote {counted(len(names) * len(shifts))} and grid.png to {outdir}')


def draw_leak_maps(G, ws, canvases, shifts, look, outdir) -> None:
    """Writes leak.png of each canvas, the root mean square over the latents."""
    from stylegan2_mspe import images
    from stylegan2_mspe.leak import leak_map
    from stylegan2_mspe.leak_picture import leak_picture

    for column, canvas in enumerate(canvases):
        path = picture_path(outdir, 'leak', shifts, column)
        leak = leak_map(G, ws, canvas, look.noise_mode, look.noise_seed)
        images.save_png(leak_picture(leak, f'What zero padding changes, over {counted(len(ws))}'), path)
        print(f'Wrote {path}')


def counted(count: int) -> str:
    return f'{count} picture{"s" if count > 1 else ""}'


# ----- pictures that do not ---------------------------------------------------------------------------------


def tile_picker(G, shown: tuple[int, int], tile: int | None, max_memory: int | None, resume: bool):
    """A function path → side of the tiles: --tile, else that of the picture begun there, else what fits."""
    from stylegan2_mspe import free_memory, large_picture, streaming

    if tile:
        with drawing.naming('--tile'):
            tile = streaming.checked_tile(G, tile)
    else:
        usable = free_memory.usable(next(G.parameters()).device)
        with drawing.naming('--max-memory' if max_memory else f'--canvas={shown[0]}x{shown[1]}'):
            within = large_picture.tile_within(G, shown[1], max_memory or usable)
    return lambda path: tile or (large_picture.recorded_tile(path) if resume else None) or within


def draw_in_tiles(G, names, latents, canvases, shifts, look, pick_tile, resume, outdir) -> None:
    """Writes a file for each latent at each shift, from the top while it is drawn."""
    from stylegan2_mspe import large_picture

    for canvas in canvases:
        large_picture.checked_box(canvas, look)
    os.makedirs(outdir, exist_ok=True)
    for index, name in enumerate(names):
        ws = latents(index, index + 1)
        for column, canvas in enumerate(canvases):
            path = picture_path(outdir, name, shifts, column)
            progress = lambda tiles, total, path=path: cli.progress(tiles, total, f'{path}: tiles')
            try:
                drawn = large_picture.draw(path, G, ws, canvas, look, pick_tile(path), resume, progress)
            except (KeyboardInterrupt, SystemExit):
                if os.path.exists(f'{path}.part'):
                    print(f'Note: the rows of {path} so far are kept; the same command with --continue goes '
                          'on.', file=sys.stderr)
                raise
            if not drawn:
                print(f'Note: {path} is complete already.')
    print(f'Wrote {counted(len(names) * len(shifts))} to {outdir}')


def draw_sheet_of_files(shown, names, captions, shifts, title, outdir) -> None:
    """Writes grid.png of pictures that are too large to be held, from their files."""
    sheet = ContactSheet(len(names), shown, captions, shifts, MOST_SHOWN)
    if not sheet.legible:
        print(f'Note: no grid.png, which would show pictures of {shown[0]}x{shown[1]} pixels {sheet.divisor} '
              'times smaller.')
        return
    path = os.path.join(outdir, 'grid.png')
    for index, name in enumerate(names):
        for column in range(len(shifts)):
            sheet.add_file(index, column, picture_path(outdir, name, shifts, column),
                           lambda blocks, total: cli.progress(blocks, total, f'{path}: rows'))
    sheet.save(path, title)
    print(f'Wrote {path}')
