"""The files of a folder or of a zip, by name, readable from many processes and threads."""

import os
import zipfile
from collections.abc import Iterator


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
            return file.read()

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
        self.names = sorted(name for name in self._open().namelist() if not name.endswith('/'))

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_handle': None, '_pid': None}

    def _open(self) -> zipfile.ZipFile:
        handle = self._handle
        if handle is None or self._pid != os.getpid():
            try:
                handle = zipfile.ZipFile(self.path)
            except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
                size = os.path.getsize(self.path)
                raise ValueError(f'{self.path}: found {size} bytes that are not a complete zip '
                                 f'({str(error).lower()}), expected a dataset zip') from error
            self._handle, self._pid = handle, os.getpid()
        return handle

    def read(self, name: str) -> bytes:
        try:
            return self._open().read(name)
        except (zipfile.BadZipFile, EOFError, RuntimeError) as error:  # the last: encrypted
            raise ValueError(f'{name} in {self.path}: found a damaged entry ({error}), '
                             'expected a complete zip') from error

    def close(self) -> None:
        if self._handle is not None and self._pid == os.getpid():
            self._handle.close()
        self._handle, self._pid = None, None


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
