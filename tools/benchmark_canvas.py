"""Measures canvases of growing size: memory, time a pixel, what is computed twice, and a cold start."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import click

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools import cli  # noqa: E402

TASKS = ('grow', 'compare', 'twice', 'cold')
WHOLE, LARGE = 512, 4096        # sides of the pictures that are compared


class Names(click.ParamType):
    """A comma list of known names."""

    name = 'list'

    def convert(self, value, param, ctx):
        names = value.split(',') if isinstance(value, str) else value
        if not set(names) <= set(TASKS):
            self.fail(f'found {value!r}, expected a comma list of {", ".join(TASKS)}', param, ctx)
        return names


class Sides(click.ParamType):
    """A comma list of lengths."""

    name = 'list'

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        if not all(side.isdecimal() and 64 <= int(side) <= 1 << 17 for side in value.split(',')):
            self.fail(f'found {value!r}, expected a comma list of pixels such as 1024,2048', param, ctx)
        return [int(side) for side in value.split(',')]


@click.command(context_settings=cli.SETTINGS,
               epilog='Example: python tools/benchmark_canvas.py --tasks=grow --sides=1024,2048,16384')
@click.option('--tasks', type=Names(), default=','.join(TASKS), show_default=True,
              help='grow: memory and time of squares of --sides; compare: pixels a second of 4096x4096 in '
                   'tiles against 512x512 whole; twice: what tiles compute again; cold: a start of '
                   'generate.py')
@click.option('--sides', type=Sides(), default='1024,2048,4096,8192', show_default=True,
              help='Sides of the pictures of grow')
@click.option('--tile', type=click.IntRange(min=1), help='Side of the tiles  [default: as of generate.py]')
@click.option('--network', metavar='PKL', help='Network to draw with  [default: the one in the box]')
@click.option('--rounds', type=click.IntRange(min=1), default=3, show_default=True,
              help='Interleaved rounds of compare and cold')
@click.option('--json', 'output', metavar='FILE', help='Also write the numbers there')
@click.option('--plot', 'picture', metavar='PNG', help='Also write the curves of grow there')
def main(tasks, sides, tile, network, rounds, output, picture):
    """Prints how much memory and time canvases take with a network, on a CPU.

    Times are of the processor, which a busy machine changes less than the clock; every picture is drawn by a
    process of its own.
    """
    from stylegan2_mspe.default_network import bundled_network

    network = network or bundled_network()
    job = dict(network=network, tile=tile)
    measures = dict(grow=lambda: grow(job, sides), compare=lambda: compare(job, rounds),
                    twice=lambda: in_child(dict(job, task='twice')), cold=lambda: cold(network, rounds))
    found = {task: measures[task]() for task in TASKS if task in tasks}
    for task in found:
        print('\n'.join(SENTENCES[task](found[task])))
    if output:
        from stylegan2_mspe.files import atomic_write
        with atomic_write(output, 'w') as file:
            json.dump(dict(network=os.path.relpath(network, ROOT), **found), file, indent=1)
    if picture and 'grow' in found:
        from stylegan2_mspe import images
        images.save_png(curves(found['grow']), picture)


# ----- what is measured -------------------------------------------------------------------------------------


def grow(job: dict, sides: list[int]) -> list[dict]:
    """Each square drawn into a PNG file by a process of its own."""
    return [in_child(dict(job, task='draw', side=side))
            for side in cli.progress(sides, len(sides), 'Pictures')]


def compare(job: dict, rounds: int) -> list[dict]:
    """Nanoseconds a pixel of the large picture in tiles and of the small one whole, in each round."""
    return [in_child(dict(job, task='compare')) for _ in cli.progress(range(rounds), rounds, 'Rounds')]


def cold(network: str, rounds: int) -> list[dict]:
    """Seconds of `import torch`, of a cold generate.py --canvas=1024x1024, and of its warm render."""
    found = []
    for _ in cli.progress(range(rounds), rounds, 'Rounds'):
        with tempfile.TemporaryDirectory() as folder:
            command = [str(ROOT / 'generate.py'), f'--network={network}', '--canvas=1024x1024', '--seeds=0',
                       f'--outdir={folder}']
            found.append(dict(imported=seconds([sys.executable, '-c', 'import torch']),
                              generate=seconds([sys.executable, *command]),
                              warm=in_child(dict(network=network, task='warm'))['warm']))
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


def say_grow(found: list[dict]) -> list[str]:
    return ['{side} x {side}: {seconds:.1f} s of processor time ({wall:.1f} s on the clock), {each:.0f} ns a '
            'pixel, {memory:.0f} MB above the interpreter, a file of {file:.1f} MB'.format(**{
                **one, 'each': one['seconds'] / one['side'] ** 2 * 1e9, 'memory': one['memory'] / 1e6,
                'file': one['file'] / 1e6}) for one in found]


def say_compare(found: list[dict]) -> list[str]:
    ratio = statistics.median(each['whole'] / each['tiles'] for each in found)
    tiles, whole = (statistics.median(each[name] for each in found) for name in ('tiles', 'whole'))
    return [f'{LARGE} x {LARGE} in tiles: {ratio:.2f} times the pixels a second of {WHOLE} x {WHOLE} whole '
            f'({tiles:.0f} against {whole:.0f} ns a pixel)']


def say_twice(found: dict) -> list[str]:
    return [f'tiles of {tile}: {share:.1%} more multiplications than the whole picture'
            for tile, share in found.items()]


def say_cold(found: list[dict]) -> list[str]:
    middle = {name: statistics.median(each[name] for each in found) for name in found[0]}
    most = middle['imported'] + 1.5 * middle['warm']
    return ['generate.py --canvas=1024x1024 --seeds=0, cold: {generate:.2f} s; import torch {imported:.2f} s '
            '+ 1.5 x warm render {warm:.2f} s'.format(**middle) + f' = {most:.2f} s']


SENTENCES = dict(grow=say_grow, compare=say_compare, twice=say_twice, cold=say_cold)


# ----- in a process of its own ------------------------------------------------------------------------------


def in_child(job: dict) -> dict:
    environment = dict(os.environ, BENCHMARK_CANVAS_JOB=json.dumps(job))
    done = subprocess.run([sys.executable, __file__], env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise ValueError('a process that draws ended early; its error is above')
    return json.loads(done.stdout)


def work(job: dict) -> dict:
    """The child's side of in_child."""
    from stylegan2_mspe import legacy, rendering

    G = rendering.prepare(legacy.load_network_pkl(job['network'])['G_ema'], cli.pick_device('cpu'))
    ws = rendering.seed_ws(G, [0])
    return dict(draw=draw, compare=compare_once, twice=twice, warm=warm)[job['task']](G, ws, job)


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
        return dict(side=job['side'], seconds=used, wall=wall, memory=peak_memory() - own,
                    file=os.path.getsize(path))


def peak_memory() -> int:
    """The most bytes that this process has held at a time."""
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == 'darwin' else 1024)


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


def twice(G, ws, job: dict) -> dict:
    """By tile, the share of multiplications in convolutions that a large picture does again for its tiles."""
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


if __name__ == '__main__':
    if 'BENCHMARK_CANVAS_JOB' in os.environ:
        json.dump(work(json.loads(os.environ['BENCHMARK_CANVAS_JOB'])), sys.stdout)
    else:
        cli.run(main)
