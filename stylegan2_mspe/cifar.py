"""Reads CIFAR-10 from the archive it is distributed in, whose pickles are read without running them."""

import gzip
import pickle
import tarfile
import zlib

import numpy as np

ARCHIVE = 'cifar-10-python.tar.gz'
BATCHES = [f'data_batch_{number}' for number in range(1, 6)]    # the training pictures
NUM_CLASSES = 10
MAX_ARCHIVE_BYTES = 1 << 28     # unpacked; the real one is 177 MB


def read_cifar10(path: str) -> tuple[np.ndarray, np.ndarray]:
    """The training pictures uint8 [N, 32, 32, 3] and classes int64 [N] of the archive at `path`.

    Raises ValueError for a damaged archive, one that lacks a batch, and pickles that hold anything else.
    """
    batches = [_read_batch(data, f'{name} in {path}') for name, data in _read_members(path).items()]
    pictures, classes = (np.concatenate(parts) for parts in zip(*batches))
    return pictures, classes


class _Limited:
    """Passes on what is read from a file, up to a limit: what a small gzip file unpacks to may never end."""

    def __init__(self, file, limit: int):
        self.file, self.left = file, limit

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise tarfile.ReadError(f'it unpacks to more than {MAX_ARCHIVE_BYTES} bytes')
        return data


def _read_members(path: str) -> dict[str, bytes]:
    """The bytes of the five batches, in order; nothing is unpacked to disk, and reading ends at the last."""
    found = {}
    try:
        with gzip.open(path) as file:
            with tarfile.open(fileobj=_Limited(file, MAX_ARCHIVE_BYTES), mode='r|') as archive:
                for member in archive:
                    name = member.name.rsplit('/', 1)[-1]
                    if name in BATCHES and member.isfile():
                        found[name] = archive.extractfile(member).read()
                    if len(found) == len(BATCHES):
                        break
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f'{path}: found a damaged archive ({error}), expected {ARCHIVE}') from error
    missing = next((name for name in BATCHES if name not in found), None)
    if missing:
        raise ValueError(f'{path}: found no {missing}, expected the five batches of {ARCHIVE}')
    return {name: found[name] for name in BATCHES}


def _read_batch(data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [N, 32, 32, 3] and classes [N] of one batch: rows of 3072 bytes, red, green, blue planes."""
    content = _unpickle(data, where)
    try:
        rows, classes = np.asarray(content['data']), np.asarray(content['labels'])
        good = (rows.dtype == np.uint8 and rows.ndim == 2 and rows.shape[1] == 3072 and len(rows)
                and classes.dtype.kind == 'i' and classes.shape == rows.shape[:1]
                and 0 <= classes.min() and classes.max() < NUM_CLASSES)
    except (KeyError, TypeError, ValueError, IndexError):
        good = False
    if not good:
        raise ValueError(f'{where}: found something else, expected data [N, 3072] and labels 0-9 of CIFAR-10')
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), classes.astype(np.int64)


def _unpickle(data: bytes, where: str):
    """What the pickle of a batch holds. It was written by Python 2, whose strings are bytes."""
    from stylegan2_mspe import safe_pickle  # knows tensors too, so it imports torch

    class Machine(safe_pickle._Machine):
        dispatch = dict(safe_pickle._Machine.dispatch)

        def find_class(self, module, name):
            if (module, name) not in self.names:
                raise safe_pickle.Refused(f'asks for {module}.{name}, which CIFAR-10 has no need of')
            return self.names[module, name]

        def build(self):
            state = self.stack[-1]
            if isinstance(state, tuple) and state and isinstance(self.stack[-2], np.ndarray):
                if isinstance(state[-1], str):
                    self.stack[-1] = (*state[:-1], state[-1].encode('latin1'))
            super().build()

        dispatch[pickle.BUILD[0]] = build

    machine = Machine(data, safe_pickle.NAMES)
    machine.encoding = 'latin1'     # every byte is a character, and comes back as it was
    try:
        return machine.load()
    except safe_pickle.Refused as error:
        raise ValueError(f'{where} {error}') from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle makes the reader stumble over anything
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f'{where}: found a damaged pickle ({reason}), '
                         'expected a batch of CIFAR-10') from error
