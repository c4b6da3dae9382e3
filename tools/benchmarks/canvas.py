"""Canvases of growing size, drawn by the network in the box on a CPU: memory, time a pixel, what tiles
compute twice, and a cold start.

Times are of the processor, which a busy machine changes less than the clock; every picture is drawn by a
process of its own.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import click

from tools.benchmarks import contenders

WHOLE, LARGE = 512, 4096        # sides of the pictures that are compared


# ----- the side that asks -----------------------------------------------------------------------------------


def table(sides: list[int], tile: int | None, rounds: int, output: str | None, plot: str | None) -> None:
    """Prints memory and time of squares; pixels a second in tiles against whole; what tiles compute twice; a
    start of generate.py. The numbers are written to `output`, too, and the curves of the squares to `plot`.
    """
    from stylegan2_mspe.default_network import bundled_network

    network = bundled_network('the table canvas draws with the one in the box')
    job = dict(table='canvas', contender='mspe', folder=str(contenders.ROOT), device='cpu', network=network,
               tile=tile)
    found = dict(grow=grow(job, sides), compare=compare(job, rounds), twice=twice(job),
                 cold=cold(job, rounds))
    if output:
        from stylegan2_mspe.files import atomic_write
        with atomic_write(output, 'w') as file:
            json.dump(dict(network=os.path.relpath(network, contenders.ROOT), **found), file, indent=1)
    if plot:
        from stylegan2_mspe import images
        images.save_png(curves(found['grow']), plot)


def grow(job: dict, sides: list[int]) -> list[dict]:
    """Each square drawn into a PNG file."""
    found = [in_child(job, 'draw', side=side) for side in progress(sides, 'Pictures')]
    rows = [[f'{one["side"]}×{one["side"]}', f'{one["seconds"]:.1f} s', f'{one["wall"]:.1f} s',
             f'{one["seconds"] / one["side"] ** 2 * 1e9:.0f} ns', f'{one["memory"] / 1e6:.0f} MB',
             f'{one["file"] / 1e6:.1f} MB'] for one in found]
    contenders.print_table('Squares of growing size, on a CPU', [
        'picture', 'processor time', 'on the clock', 'a pixel', 'memory above the interpreter', 'file'], rows)
    return found


def compare(job: dict, rounds: int) -> list[dict]:
    """Nanoseconds a pixel of the large picture in tiles and of the small one whole, in each round."""
    found = [in_child(job, 'compare') for _ in progress(range(rounds), 'Rounds')]
    ratio = statistics.median(each['whole'] / each['tiles'] for each in found)
    click.echo(f'\n{LARGE} x {LARGE} in tiles: {ratio:.2f} times the pixels a second of {WHOLE} x {WHOLE} '
               f'whole ({contenders.median(found, "tiles"):.0f} against '
               f'{contenders.median(found, "whole"):.0f} ns a pixel)')
    return found


def twice(job: dict) -> dict:
    """By tile, the share of multiplications in convolutions that a large picture does again for its tiles."""
    found = in_child(job, 'twice')
    for tile, share in found.items():
        click.echo(f'tiles of {tile}: {share:.1%} more multiplications than the whole picture')
    return found


def cold(job: dict, rounds: int) -> list[dict]:
    """Seconds of `import torch`, of a cold generate.py --canvas=1024x1024, and of its warm render."""
    found = []
    for _ in progress(range(rounds), 'Rounds'):
        with tempfile.TemporaryDirectory() as folder:
            command = [str(contenders.ROOT / 'generate.py'), f'--network={job["network"]}',
                       '--canvas=1024x1024', '--seeds=0', f'--outdir={folder}']
            found.append(dict(imported=seconds([sys.executable, '-c', 'import torch']),
                              generate=seconds([sys.executable, *command]), **in_child(job, 'warm')))
    middle = {name: contenders.median(found, name) for name in found[0]}
    most = middle['imported'] + 1.5 * middle['warm']
    click.echo('generate.py --canvas=1024x1024 --seeds=0, cold: {generate:.2f} s; import torch '
               '{imported:.2f} s + 1.5 x warm render {warm:.2f} s'.format(**middle) + f' = {most:.2f} s')
    return found


def seconds(command: list[str]) -> float:
    """Processor seconds of a command and its threads."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def curves(found: list[dict]):
    """Time and memory over the pixels of squares."""
    from stylegan2_mspe import images, plots

    pixels = [each['side'] ** 2 / 1e6 for each in found]
    draw = lambda title, values: plots.line_plot({title: (pixels, values)}, title=title, x_label='megapixels',
                                                 y_range=(0, max(*values, 1e-3) * 1.1), size=(480, 320))
    return images.labelled_grid([[
        draw('processor time, seconds', [each['seconds'] for each in found]),
        draw('memory above the interpreter, MB', [each['memory'] / 1e6 for each in found])]], [''], ['', ''])


def progress(loop, label: str):
    from tools import cli   # not above, for processes that measure others shall not import our packages
    return cli.progress(loop, len(loop), label)


def in_child(job: dict, task: str, **more):
    """What a process of its own answers to one of TASKS."""
    return contenders.compare({task: dict(job, task=task, **more)}, rounds=1)[task][0]


# ----- the side that answers --------------------------------------------------------------------------------


def prepare(job: dict):
    """A function that does the job's task."""
    from stylegan2_mspe import legacy, rendering

    G = rendering.prepare(legacy.load_network_pkl(job['network'])['G_ema'], job['device'])
    ws = rendering.seed_ws(G, [0])
    return lambda: TASKS[job['task']](G, ws, job)


def square(G, side: int):
    from stylegan2_mspe.framing import frame
    return frame(G.img_resolution, (side, side))


def draw(G, ws, job: dict) -> dict:
    """Draws one picture into a file: its memory above what the process had before, and its time."""
    import psutil

    from stylegan2_mspe import large_picture
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'a.png')
        large_picture.draw(path, G, ws, square(G, G.img_resolution), tile=job['tile'])
        own = psutil.Process().memory_info().rss
        for _ in range(2 if job['side'] <= LARGE else 1):       # the first time of a shape costs more
            start, clock = time.process_time(), time.perf_counter()
            large_picture.draw(path, G, ws, square(G, job['side']), tile=job['tile'])
            used, wall = time.process_time() - start, time.perf_counter() - clock
        return dict(side=job['side'], seconds=used, wall=wall,
                    memory=round(contenders.peak_memory('cpu') * 1e9) - own, file=os.path.getsize(path))


def compare_once(G, ws, job: dict) -> dict:
    """Nanoseconds a pixel: whole pictures before, between and after the bands of the large one."""
    from stylegan2_mspe import rendering, streaming

    small, large = square(G, WHOLE), square(G, LARGE)
    rendering.render(G, ws, small)
    tile = streaming.checked_tile(G, job['tile'])
    whole, tiles, drawn = [], 0.0, 0
    for top in range(0, LARGE, 4 * tile):
        start = time.process_time()
        rendering.render(G, ws, small)
        whole.append(time.process_time() - start)
        box = (top, 0, min(4 * tile, LARGE - top), LARGE)
        start = time.process_time()
        for _ in streaming.tiles(G, ws, large, tile, window=box):
            pass
        tiles, drawn = tiles + time.process_time() - start, drawn + box[2] * LARGE
    return dict(whole=statistics.median(whole) / WHOLE ** 2 * 1e9, tiles=tiles / drawn * 1e9)


def count_twice(G, ws, job: dict) -> dict:
    from stylegan2_mspe.pe import Window
    large = square(G, LARGE)
    alone = multiplications(G, Window.whole(large))
    shares = {}
    for tile in [job['tile']] if job['tile'] else (256, 512, 1024):
        parts = range(0, LARGE, tile)
        total = sum(multiplications(G, Window(large, y, x, min(tile, LARGE - y), min(tile, LARGE - x)))
                    for y in parts for x in parts)
        shares[str(tile)] = total / alone - 1
    return shares


def multiplications(G, window) -> int:
    """Of all convolutions that draw a window; an upsampling one is counted at its inputs."""
    total = 0
    for resolution, place in G.synthesis.places(window).items():
        block = getattr(G.synthesis, f'b{resolution}')
        inner, source = block.sources(place)
        area = lambda patch: patch.shape[0] * patch.shape[1]
        last = block.torgb.weight.numel() if block.num_torgb else 0
        total += area(place) * (block.conv1.weight.numel() + last)
        total += 0 if source is None else area(source) * block.conv0.weight.numel()
    return total


def warm(G, ws, job: dict) -> dict:
    """Seconds of the picture that `cold` draws, the second time."""
    from stylegan2_mspe import rendering
    for _ in range(2):
        start = time.process_time()
        rendering.render(G, ws, square(G, 1024))
    return dict(warm=time.process_time() - start)


TASKS = dict(draw=draw, compare=compare_once, twice=count_twice, warm=warm)
