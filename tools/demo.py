"""The main job at its smallest: goes on from the bundled network for two minutes and shows digits at many
places.
"""

import os
import pathlib
import sys
import time

import click

if not __package__:     # started as `python tools/demo.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli, drawing  # noqa: E402

RUNS = './training-runs'
SEEDS = range(6)                # rows of the picture
DISTANCES = (0, 8, 16, 32)      # columns of the picture, pixels down and right
MEASURED = (4, 8, 16, 24, 32)   # rows of the table
SAMPLES = 64                    # pictures per number of the table
GRID = (16, 8)                  # columns and rows of the run's own grids, which would take half a minute else


@click.command(context_settings=cli.SETTINGS)
@click.option('--minutes', type=click.FloatRange(0, min_open=True), default=2, show_default=True,
              help='Time to train')
@click.option('--network', metavar='PKL', help='Network to go on from  [default: the bundled one]')
@click.option('--outdir', default='./out', show_default=True, help='Folder for demo.png')
@drawing.options('device')
def main(minutes, network, outdir, device):
    """Trains an MS-PE network on the built-in digits for two minutes, then draws the same digits at several
    shifts.

    The network goes on from the bundled one, into a new folder under ./training-runs.

    \b
    python tools/demo.py
    python tools/demo.py --minutes=10 --network=training-runs/00003-demo/network-snapshot-000200.pkl
    """
    from stylegan2_mspe.default_network import bundled_network, newest_snapshot

    run_dir = train_for(minutes * 60, network or bundled_network(), device=device)
    trained = newest_snapshot(run_dir)
    path = show(trained, outdir, device)
    print(f'\nNetwork: {trained}\nPicture: {path}')


class TimeIsUp(Exception):
    """Ends a training between two steps."""


def train_for(seconds: float, network: str, runs: str = RUNS, **options) -> str:
    """Trains as `train.py --cfg=mspe-plus-small --data=demo --resume=network` does, but for so long; the run
    folder.

    It leaves a snapshot and a state, so `train.py --resume=latest` goes on to the preset's length. `options`
    are train.py's, by its names. Raises ValueError, OSError as train.py does.
    """
    from dnnlib.util import Logger
    from stylegan2_mspe import run_folder, snapshots, training_loop
    from tools import train
    from tools.training import record
    from tools.training_plan import resolve

    end = time.monotonic() + seconds
    options = dict(cfg='mspe-plus-small', data='demo', resume=str(network), metrics=(), **options)
    config = resolve(train.PROGRAM, options)
    training = train.build(config)
    run_dir = run_folder.create(runs, config.desc)
    record(run_dir, config, options)
    meter = timed_meter(seconds, end)

    def say(line):
        meter.clear()
        print(line)

    def watch(nimg):
        meter.update(nimg)
        if time.monotonic() > end:
            raise TimeIsUp

    with Logger(os.path.join(run_dir, 'log.txt'), file_mode='a', should_flush=True):
        say(f'Training for {seconds:.0f} seconds: {run_dir}')
        try:
            training_loop.train(training, run_dir, say=say, watch=watch, grid=GRID)
        except TimeIsUp:
            shown = snapshots.make_grid(training.dataset, config.z_dim, config.seed, GRID)
            training_loop.write_snapshot(training, run_dir, shown, {})
        say(f'Trained {training.progress.nimg} images.')
    return run_dir


def timed_meter(seconds: float, end: float):
    """train.py's progress line for a training whose length is a time: its end is where it will be then."""
    from tools.meter import Meter

    class TimedMeter(Meter):
        def update(self, nimg):
            left = end - time.monotonic()
            self.total = max(nimg, 100 * round(nimg * seconds / max(seconds - left, 1) / 100))
            super().update(nimg)

    return TimedMeter(1, sys.stderr)


def show(network: str, outdir: str, device: str = 'auto') -> str:
    """Writes demo.png and prints the similarity per shift; returns the picture's path."""
    from stylegan2_mspe import images, legacy, rendering

    os.makedirs(outdir, exist_ok=True)
    G = rendering.prepare(legacy.load_network_pkl(network)['G_ema'], cli.pick_device(device))
    resolution = G.img_resolution
    wide = (resolution, 2 * resolution)
    columns = {f'shift {distance}': rendering.request_canvas(resolution, shift=(distance, distance))
               for distance in DISTANCES}
    columns[f'canvas {wide[0]} x {wide[1]}, shift 16,0'] = rendering.request_canvas(resolution, wide, (16, 0))
    ws = rendering.seed_ws(G, SEEDS)
    drawn = [rendering.render(G, ws, canvas) for canvas in columns.values()]
    path = os.path.join(outdir, 'demo.png')
    images.save_png(images.labelled_grid(list(zip(*drawn)), [f'seed {seed}' for seed in SEEDS], list(columns),
                                         'The same digits, moved by their positional encoding'), path)
    print('\n'.join(similarity_table(G)))
    return path


def similarity_table(G) -> list[str]:
    """Lines of a table: similarity (Eq. C) of the digits after a shift down, right and both."""
    from stylegan2_mspe.similarity import along, shift_similarity

    directions = ('down', 'right', 'diagonal')
    shifts = [shift for direction in directions for shift in along(direction, MEASURED)]
    values = shift_similarity(G, shifts, range(SAMPLES)).mean(axis=1).reshape(len(directions), len(MEASURED))
    lines = [f'\nSimilarity of {SAMPLES} digits with themselves after a shift (1 = the same):',
             f'{"pixels":>8}' + ''.join(f'{direction:>10}' for direction in directions)]
    return lines + [f'{distance:>8}' + ''.join(f'{value:>10.2f}' for value in row)
                    for distance, row in zip(MEASURED, values.T)]


if __name__ == '__main__':
    cli.run(main)
