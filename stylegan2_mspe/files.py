"""Files that appear under their final name only when they are complete."""

import contextlib
import os
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


def sync_folder(path: str) -> None:
    """Makes the renames inside a folder durable, where the platform can."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
