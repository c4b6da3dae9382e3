"""dataset_tool's pictures a second of a core, against a plain Pillow loop that does the same."""

import io
import os
import statistics
import sys
import tempfile
import time
import zipfile

import click

from tools.benchmarks import contenders

PHOTOS, PHOTO_SIZE, DATASET_SIZE = 400, (640, 480), 256     # JPEGs (width, height), cut and scaled to squares


def table(rounds: int) -> None:
    """Prints pictures a second of dataset_tool per core, and of a plain Pillow loop doing the same."""
    sys.path.insert(0, str(contenders.ROOT))
    from stylegan2_mspe.dataset_writing import _cpu_count, convert
    from stylegan2_mspe.fit import Fit
    from stylegan2_mspe.sources import open_source
    fit = Fit(transform='center-crop', width=DATASET_SIZE, height=DATASET_SIZE)
    with tempfile.TemporaryDirectory() as folder:
        source, dest = (os.path.join(folder, name) for name in ('photos.zip', 'dataset.zip'))
        write_photos(source)
        cores = _cpu_count()
        runs = {'plain loop': lambda: plain_loop(source, dest),
                'one process': lambda: convert(open_source(source), dest, fit, workers=1),
                f'{cores} cores': lambda: convert(open_source(source), dest, fit, workers=cores)}
        walls, per_core = {name: [] for name in runs}, {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                start, used = time.perf_counter(), sum(os.times()[:4])
                run()
                walls[name].append(PHOTOS / (time.perf_counter() - start))
                per_core[name].append(PHOTOS / (sum(os.times()[:4]) - used))
    click.echo(f'dataset, {PHOTO_SIZE[0]}x{PHOTO_SIZE[1]} JPEG to {DATASET_SIZE}:')
    for name in runs:
        ratio = statistics.median(a / b for a, b in zip(per_core[name], per_core['plain loop']))
        click.echo(f'    {name}: {statistics.median(walls[name]):.0f} img/s, '
                   f'{statistics.median(per_core[name]):.0f} for each second of a core, '
                   f'{ratio:.2f}x the plain loop')


def write_photos(path):
    """A zip of JPEGs as smooth as photographs are; a few different ones, many times."""
    import numpy as np
    from PIL import Image
    random, photos = np.random.RandomState(0), []
    for _ in range(8):
        coarse = Image.fromarray(random.randint(0, 256, [30, 40, 3], np.uint8))
        coarse = coarse.resize(PHOTO_SIZE, Image.BICUBIC)
        noisy = np.clip(np.asarray(coarse) + random.normal(0, 6, [*PHOTO_SIZE[::-1], 3]), 0, 255)
        photos.append(io.BytesIO())
        Image.fromarray(noisy.astype(np.uint8)).save(photos[-1], 'jpeg', quality=90)
    with zipfile.ZipFile(path, 'w') as archive:
        for number in range(PHOTOS):
            archive.writestr(f'{number:04d}.jpg', photos[number % len(photos)].getvalue())


def plain_loop(source, dest):
    """What anyone would write first: open, crop, resize, save, one after the other."""
    from PIL import Image
    with zipfile.ZipFile(source) as photos, zipfile.ZipFile(dest, 'w') as dataset:
        for number, name in enumerate(photos.namelist()):
            picture = Image.open(io.BytesIO(photos.read(name))).convert('RGB')
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            picture = picture.crop((left, top, left + side, top + side))
            picture = picture.resize([DATASET_SIZE] * 2, Image.LANCZOS)
            buffer = io.BytesIO()
            picture.save(buffer, 'png', compress_level=0, optimize=False)
            dataset.writestr(f'{number:08d}.png', buffer.getvalue())
