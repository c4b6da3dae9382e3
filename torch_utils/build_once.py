"""What is slow to make and many processes want: one makes it, the others wait, and none waits for the dead.

The lock is the operating system's: it falls the moment its owner ends, however it ends, so a file that a
killed process has left behind holds nobody up.
"""

import contextlib
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import IO

try:
    import fcntl
except ImportError:             # Windows: every process builds for itself, and one result stays
    fcntl = None

PATIENCE = 600                  # seconds to wait for another process


def build_once(target: str, build: Callable[[str], None], patience: float = PATIENCE) -> None:
    """Makes the file or folder `target`, unless it is there: `build` makes it under the path it is given.

    It appears under its name when complete. Where another process is at it, waits for that one; raises
    TimeoutError after `patience` seconds, RuntimeError with that one's reason if it failed, and whatever
    `build` raises.
    """
    os.makedirs(os.path.dirname(target), exist_ok=True)
    while not os.path.exists(target):
        with _lock(f'{target}.lock', patience) as lock:
            _check_failure(lock)
            if not _is_current(lock):
                continue                # another process had its turn meanwhile
            try:
                if not os.path.exists(target):
                    _write(lock, f'process {os.getpid()} on {socket.gethostname()}')
                    _build(target, build)
            except Exception as error:
                _write(lock, f'failed: {one_line(error)}')          # those who wait now need not try
                raise
            finally:
                with contextlib.suppress(OSError):
                    os.remove(lock.name)


def one_line(error: Exception) -> str:
    """The line of a compiler's output that says what is wrong, or the first one there is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    telling = re.compile(r'error:|\bfatal\b|: not found|command not found')    # compilers, nvcc, shells
    return next((line for line in lines if telling.search(line)), lines[0])


def _build(target: str, build: Callable[[str], None]) -> None:
    folder, name = os.path.split(target)
    if fcntl is not None:           # what builders that were killed have left
        for other in os.listdir(folder):
            if other.startswith(f'{name}.') and other.endswith('.part'):
                shutil.rmtree(os.path.join(folder, other), ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f'{name}.', suffix='.part', dir=folder) as place:
        unfinished = os.path.join(place, name)
        build(unfinished)
        _reach_the_disk(unfinished)         # a power cut must not leave a name without its content
        try:
            os.rename(unfinished, target)
        except OSError:
            if not os.path.exists(target):
                raise


def _reach_the_disk(path: str) -> None:
    inside = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    for name in inside if os.path.isdir(path) else [path]:
        with open(name, 'rb') as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def _lock(path: str, patience: float) -> Iterator[IO]:
    with open(path, 'a+') as file:
        waiting_since = time.monotonic()
        while not _taken(file):
            if time.monotonic() - waiting_since > patience:
                raise TimeoutError(f'{_read(file) or "another process"} has been building '
                                   f'{os.path.basename(path.removesuffix(".lock"))} for {patience:g} seconds')
            time.sleep(min(0.1, patience))
        yield file


def _taken(file: IO) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:             # a file system without locks
        pass
    return True


def _is_current(file: IO) -> bool:
    """Whether the lock is still the one that others will find under this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
    except FileNotFoundError:
        return False


def _check_failure(file: IO) -> None:
    """Raises what its owner wrote into a lock that this process has waited for."""
    text = _read(file)
    if text.startswith('failed: ') and not _is_current(file):
        raise RuntimeError(text.removeprefix('failed: '))


def _read(file: IO) -> str:
    file.seek(0)
    return file.read().strip()


def _write(file: IO, text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()
