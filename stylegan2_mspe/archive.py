"""The files of a folder or of a zip, by name, readable from many processes and threads.

An archive may come from anyone: names stay inside it, and nothing larger than any picture is read.
"""

import os
import re
import zipfile
import zlib
from collections.abc import Iterator

MAX_FILE_BYTES = 1 << 30    # of one file: 2^28 pixels of four channels, and no compression


class FolderArchive:
    """The files below a folder; names are relative, with forward slashes, sorted."""

    def __init__(self, path: str):
        self.path = path
        self.names = sorted(self._walk())

    def _walk(self) -> Iterator[str]:
        for folder, _, files in os.walk(self.path):
            for file in files:
                yield os.path.relpath(os.path.join(folder, file), self.path).replace(os.sep, '/')

    def read(self, name: str) -> bytes:
        with open(os.path.join(self.path, name), 'rb') as file:
            _check_size(os.fstat(file.fileno()).st_size, f'{name} in {self.path}')
            return file.read()

    def checksum(self, name: str) -> int:
        """CRC-32 of a file, which is read for it."""
        return zlib.crc32(self.read(name))

    def close(self) -> None:
        pass


class ZipArchive:
    """The files of a zip; every process reads through a handle of its own, opened when first used.

    A forked process shares its parent's file position, so a handle is never used across a fork; a pickled
    archive travels without one.
    """

    def __init__(self, path: str):
        self.path = path
        self._handle, self._pid = None, None
        names = self._open().namelist()
        outside = next((name for name in names if leads_outside(name)), None)
        if outside is not None:
            raise ValueError(f'{path}: found an entry named {outside!r}, '
                             'expected names that stay inside the zip')
        self.names = sorted(name for name in names if not name.endswith('/'))

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_handle': None, '_pid': None}

    def _open(self) -> zipfile.ZipFile:
        handle = self._handle
        if handle is None or self._pid != os.getpid():
            try:
                handle = zipfile.ZipFile(self.path)
            except (OSError, MemoryError):
                raise
            except Exception as error:  # a damaged directory makes zipfile stumble over anything
                size = os.path.getsize(self.path)
                raise ValueError(f'{self.path}: found {size} bytes that are not a complete zip '
                                 f'({str(error).lower()}), expected a dataset zip') from error
            self._handle, self._pid = handle, os.getpid()
        return handle

    def read(self, name: str) -> bytes:
        """The entry, as long as the zip's directory says or refused: a longer one is never unpacked."""
        archive, where = self._open(), f'{name} in {self.path}'
        info = archive.getinfo(name)
        _check_size(info.file_size, where)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others know no limit
            raise ValueError(f'{where}: found compression method {info.compress_type}, '
                             'expected an entry that is stored or deflated')
        try:
            with archive.open(info) as file:
                return file.read(info.file_size + 1)    # without a count, zipfile unpacks all there is
        except MemoryError:
            raise
        except Exception as error:  # whatever a decompressor stumbles over; RuntimeError if encrypted
            raise ValueError(f'{where}: found a damaged entry ({error}), '
                             'expected a complete zip') from error

    def checksum(self, name: str) -> int:
        """CRC-32 of an entry, as the zip's directory says; reading the entry checks it."""
        return self._open().getinfo(name).CRC

    def close(self) -> None:
        if self._handle is not None and self._pid == os.getpid():
            self._handle.close()
        self._handle, self._pid = None, None


def leads_outside(name: str) -> bool:
    """Whether a name would leave the folder it is unpacked in, on any system: absolute, or with a `..`."""
    return bool(re.match(r'[/\\]|[A-Za-z]:', name)) or '..' in re.split(r'[/\\]', name)


def _check_size(size: int, where: str) -> None:
    if size > MAX_FILE_BYTES:
        raise ValueError(f'{where}: found a file of {size} bytes, '
                         f'expected a picture, at most {MAX_FILE_BYTES} bytes')


def open_archive(path: str) -> FolderArchive | ZipArchive:
    """The archive at `path`, a folder or a zip file. Raises ValueError for a path that is neither."""
    if os.path.isdir(path):
        return FolderArchive(path)
    if not os.path.exists(path):
        raise ValueError(f'{path}: found nothing there, expected a folder of pictures or a dataset zip')
    if not os.path.isfile(path) or not path.lower().endswith('.zip'):
        raise ValueError(f'{path}: found a file that is not named .zip, '
                         'expected a folder of pictures or a dataset zip')
    return ZipArchive(path)
