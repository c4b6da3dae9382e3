"""The folder of a run: its name, its options, its lines of statistics. Knows nothing of any network."""

import json
import os
import re
from collections.abc import Callable

from stylegan2_mspe.files import atomic_write, sync_folder

OPTIONS = 'training_options.json'
STATS = 'stats.jsonl'
RUN = re.compile(r'(\d+)(-.*)?')


def create(outdir: str, desc: str) -> str:
    """Makes `<outdir>/<5-digit id>-<desc>`, the id one above the largest there. Raises OSError."""
    os.makedirs(outdir, exist_ok=True)
    number = max((number for number, _ in runs(outdir)), default=-1) + 1
    path = os.path.join(outdir, f'{number:05d}-{desc}')
    os.mkdir(path)
    sync_folder(outdir)
    return path


def runs(outdir: str) -> list[tuple[int, str]]:
    """(id, path) of the runs in a folder, newest first; none where there is no such folder."""
    if not os.path.isdir(outdir):
        return []
    found = [(int(RUN.fullmatch(entry.name)[1]), entry.path) for entry in os.scandir(outdir)
             if entry.is_dir() and RUN.fullmatch(entry.name)]
    return sorted(found, reverse=True)


def write_json(path: str, value) -> None:
    with atomic_write(path, 'w', encoding='utf-8') as file:
        json.dump(value, file, indent=2)
        file.write('\n')


def read_json(path: str):
    """Raises ValueError for a file that is not JSON, OSError for none."""
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except ValueError as error:
        raise ValueError(f'{path}: found something that is not JSON ({error})') from error


def append_stats(run_dir: str, fields: dict) -> None:
    """Adds one line to stats.jsonl."""
    append_line(os.path.join(run_dir, STATS), fields)


def append_line(path: str, fields: dict) -> None:
    """Adds one line of JSON to a file in a single write, and syncs it: a later state relies on it."""
    line = json.dumps(fields) + '\n'
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        _write_whole(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_whole(descriptor: int, data: bytes) -> None:
    """Writes all or, where the disk is full, leaves the file as it was."""
    size = os.fstat(descriptor).st_size
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def cut_stats(run_dir: str, tick: int) -> None:
    """Drops the lines of `tick` and later, and what a kill left of a line: a resumed run writes them anew."""
    keep_lines(os.path.join(run_dir, STATS), lambda line: _tick(line) < tick)


def keep_lines(path: str, wanted: Callable[[str], bool]) -> None:
    """Drops the other lines of a file, if there is one, and what a kill left of a line."""
    if not os.path.exists(path):
        return
    with open(path, encoding='utf-8') as file:
        lines = file.readlines()
    kept = [line for line in lines if line.endswith('\n') and wanted(line)]
    if kept != lines:
        with atomic_write(path, 'w', encoding='utf-8') as file:
            file.writelines(kept)


def read_stats(run_dir: str) -> list[dict[str, float]]:
    """The means by name of every complete line. Raises OSError."""
    with open(os.path.join(run_dir, STATS), encoding='utf-8') as file:
        lines = [json.loads(line) for line in file if _tick(line) < float('inf')]
    return [{name: field['mean'] for name, field in line.items() if isinstance(field, dict)}
            for line in lines]


def _tick(line: str) -> float:
    """The tick of a line; a line that is none counts as never reached."""
    try:
        return json.loads(line)['Progress/tick']['mean']
    except (ValueError, KeyError, TypeError):
        return float('inf')
