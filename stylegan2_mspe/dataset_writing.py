"""Writes the pictures of a source as a dataset zip or folder: all cores, in order, in bounded memory."""

import collections
import contextlib
import errno
import itertools
import json
import multiprocessing
import os
import re
import signal
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import numpy as np

from stylegan2_mspe.dataset import LABELS_FILE
from stylegan2_mspe.files import atomic_folder, atomic_write
from stylegan2_mspe.fit import Fit
from stylegan2_mspe.picture_file import decode_picture, describe, encode_png
from stylegan2_mspe.sources import Item, Source

CHUNK_ITEMS, CHUNK_BYTES = 64, 1 << 18  # of one task for a process: enough to pay for its way there and back
WORTH_A_PROCESS = 8                     # pictures, where they are large
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PARTS = re.compile(r'\d{5}|dataset\.json')  # names in a dataset's folder
EPOCH = (1980, 1, 1, 0, 0, 0)           # of every zip entry, so that the same pictures make the same file


def convert(source: Source, dest: str, fit: Fit = Fit(), max_images: int | None = None,
            workers: int | None = None,
            watch: Callable[[Iterable, int], Iterable] = lambda results, total: results,
            skip: Callable[[str], None] | None = None) -> int:
    """Writes `source` to `dest` (a zip where it ends in .zip, else a folder); returns the number of pictures.

    `watch(results, total)` passes the results through, one a picture, to show the progress. `dest` appears
    when it is complete. Raises ValueError naming the first picture that does not fit; where `skip` is given,
    it gets that sentence instead and the picture is left out. The first good one sets size and colours.
    """
    if max_images is not None and max_images < 1:
        raise ValueError(f'--max-images: found {max_images}, expected at least 1')
    fit.check_side()
    total = source.count if max_images is None else min(source.count, max_images)
    workers = min(workers or _cpu_count(), -(-total // WORTH_A_PROCESS))
    items = itertools.islice(source.items(), total)
    labels, shape = [], None
    with _open_dest(dest) as save, contextlib.closing(_map_ordered(items, fit, workers)) as results:
        for result in watch(results, total):
            error = result.error or _misfit(result, shape)
            if error and skip is None:
                raise ValueError(error)
            if error:
                skip(error)
                continue
            shape = result.shape
            path = f'{len(labels) // 1000:05d}/img{len(labels):08d}.png'
            save(path, result.png)
            labels.append([path, result.label])
        if not labels:
            raise ValueError(f'--skip-bad: found nothing good among {total} pictures, expected at least one')
        complete = all(label is not None for _, label in labels)
        save(LABELS_FILE, json.dumps({'labels': labels if complete else None}).encode())
    return len(labels)


def _misfit(result: '_Result', shape: tuple[int, int, int] | None) -> str | None:
    """What is wrong with a picture's shape in a dataset of `shape` (None: it is the first)."""
    height, width, _ = result.shape
    if height != width or height & (height - 1):
        hint = 'use --width and --height, and --transform=center-crop to cut instead of stretch'
        return (f'{result.name}: found a picture of {describe(result.shape)}, '
                f'expected a square whose side is a power of two ({hint})')
    if shape is not None and result.shape != shape:
        hint = ' (use --force-channels)' if result.shape[:2] == shape[:2] else ''
        return (f'{result.name}: found a picture of {describe(result.shape)}, '
                f'expected {describe(shape)} as the first{hint}')
    return None


# ----- all cores --------------------------------------------------------------------------------------------


class _Result(NamedTuple):
    name: str
    label: int | list[float] | None
    shape: tuple[int, int, int]
    png: bytes
    error: str | None = None    # why there is no picture


def _convert_chunk(items: list[Item], fit: Fit) -> list[_Result]:
    return [_convert_item(item, fit) for item in items]


def _convert_item(item: Item, fit: Fit) -> _Result:
    try:
        pixels = fit.apply(_pixels_of(item))
    except ValueError as error:
        return _Result(item.name, item.label, (0, 0, 0), b'', str(error))
    return _Result(item.name, item.label, pixels.shape, encode_png(pixels))


def _pixels_of(item: Item) -> np.ndarray:
    if isinstance(item.picture, ValueError):
        raise item.picture
    return decode_picture(item.picture, item.name) if isinstance(item.picture, bytes) else item.picture


def _map_ordered(items: Iterable[Item], fit: Fit, workers: int) -> Iterator[_Result]:
    """Converts the items in `workers` processes (here if fewer than two); two tasks a process may wait."""
    if workers < 2:
        yield from (_convert_item(item, fit) for item in items)
        return
    pool = ProcessPoolExecutor(workers, initializer=_start_worker)
    waiting = collections.deque()
    try:
        for chunk in _chunks(items):
            waiting.append(pool.submit(_convert_chunk, chunk, fit))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise OSError('a converting process was killed, which happens where memory runs out') from error
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    chunk, size = [], 0
    for item in items:
        chunk.append(item)
        size += memoryview(item.picture).nbytes if not isinstance(item.picture, ValueError) else 0
        if len(chunk) >= CHUNK_ITEMS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _start_worker() -> None:
    """Leaves Ctrl-C to the parent, and ends with it: a worker of a killed parent would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _cpu_count() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# ----- where it goes ----------------------------------------------------------------------------------------

Save = Callable[[str, bytes], None]


def _open_dest(dest: str) -> contextlib.AbstractContextManager[Save]:
    """A function save(path, data) into the zip or folder `dest`, which appears when the block ends well."""
    parent = os.path.dirname(os.path.abspath(dest))
    if not os.path.isdir(parent):
        os.makedirs(parent)
    if not dest.lower().endswith('.zip'):
        return _folder_dest(os.path.normpath(dest))
    if os.path.isdir(dest):
        raise ValueError(f'--dest {dest}: found a folder, expected the name of a zip to write')
    return _zip_dest(dest)


@contextlib.contextmanager
def _zip_dest(dest: str) -> Iterator[Save]:
    try:
        with atomic_write(dest) as file, zipfile.ZipFile(file, 'w', zipfile.ZIP_STORED) as archive:
            yield lambda path, data: archive.writestr(zipfile.ZipInfo(path, EPOCH), data)
    except OSError as error:
        if error.filename is None and error.errno in DISK_FULL:  # a failed write does not say where
            error.filename = dest
        raise


@contextlib.contextmanager
def _folder_dest(dest: str) -> Iterator[Save]:
    with atomic_folder(dest, PARTS) as part:
        yield lambda path, data: _save_file(os.path.join(part, path), data)


def _save_file(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(data)
