"""Files and folders that appear under their final name only when they are complete."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = 'wb', **open_kwargs) -> Iterator[IO]:
    """Opens `path + '.part'` for writing and renames it to `path` once the block has ended well.

    The bytes are on the disk before the rename and the rename before the return, so a reader, a kill or a
    power cut sees the old file or the new one, never a part. If the block raises, the part file is removed
    and the old file stays. Raises OSError as `open` does.
    """
    path = os.fspath(path)
    part = path + '.part'
    try:
        with open(part, mode, **open_kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
        if isinstance(error, OSError) and error.errno and error.filename in (None, part):
            error.filename = path  # a full disk names no file
        raise
    sync_folder(os.path.dirname(path) or '.')


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike, ours: re.Pattern) -> Iterator[str]:
    """A folder `path + '.part'` to fill, which takes its final name once the block has ended well.

    What a killed run left under the name is removed if all names in it are `ours`. If the block raises, the
    folder is removed. Raises ValueError where either name is taken by anything else, OSError as os.makedirs.
    """
    path = os.path.normpath(path)
    if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
        found = 'a folder that is not empty' if os.path.isdir(path) else 'a file'
        raise ValueError(f'{path}: found {found}, expected a new or empty folder')
    part = path + '.part'
    _remove_unfinished(part, ours)
    os.makedirs(part)
    try:
        yield part
        sync_folder(part)
        os.replace(part, path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(os.path.dirname(os.path.abspath(path)))


def _remove_unfinished(part: str, ours: re.Pattern) -> None:
    if not os.path.lexists(part):
        return
    if not os.path.isdir(part) or not all(map(ours.fullmatch, os.listdir(part))):
        raise ValueError(f'{part}: found something that no killed run has left, expected the name to be free')
    shutil.rmtree(part)


def sync_folder(path: str) -> None:
    """Makes the renames inside a folder durable, where the platform can."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
