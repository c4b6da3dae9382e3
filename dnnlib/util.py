"""EasyDict, the download cache, names of Python objects and other helpers that need no torch."""

import contextlib
import ctypes
import fnmatch
import glob
import hashlib
import importlib
import inspect
import io
import os
import pickle
import re
import shutil
import sys
import tempfile
import time
import types
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# ---- Dictionaries and log files ----------------------------------------------------------------------------


class EasyDict(dict):
    """A dict whose items are also attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None


class Logger:
    """Copies stdout and stderr into a file from its creation to `close` (or the end of a `with` block).

    Both appear on stdout. `file_name` None: only flushes. `should_flush`: after every write, so that a killed
    process loses nothing.
    """

    def __init__(self, file_name: str | None = None, file_mode: str = 'w', should_flush: bool = True):
        self.file = None if file_name is None else open(file_name, file_mode, encoding='utf-8')
        self.should_flush = should_flush
        self.stdout, self.stderr = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = self

    def __enter__(self) -> 'Logger':
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def write(self, text: str | bytes) -> None:
        text = text.decode() if isinstance(text, bytes) else text
        if not text:
            return
        if self.file is not None:
            self.file.write(text)
        self.stdout.write(text)
        if self.should_flush:
            self.flush()

    def flush(self) -> None:
        if self.file is not None:
            self.file.flush()
        self.stdout.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__['stdout'], name)  # isatty, fileno, encoding …

    def close(self) -> None:
        self.flush()
        if sys.stdout is self:
            sys.stdout = self.stdout
        if sys.stderr is self:
            sys.stderr = self.stderr
        if self.file is not None:
            self.file.close()
            self.file = None


# ---- Cache folder ------------------------------------------------------------------------------------------

_cache_dir: str | None = None


def set_cache_dir(path: str) -> None:
    """Where downloads and builds are kept, instead of $DNNLIB_CACHE_DIR or ~/.cache/dnnlib."""
    global _cache_dir
    _cache_dir = path


def make_cache_dir_path(*paths: str) -> str:
    """A path inside the cache folder; creates nothing."""
    root = _cache_dir or os.environ.get('DNNLIB_CACHE_DIR')
    root = root or os.path.join(os.path.expanduser('~'), '.cache', 'dnnlib')
    return os.path.join(root, *paths)


# ---- Small things ------------------------------------------------------------------------------------------


def format_time(seconds: float) -> str:
    """12s · 3m 05s · 2h 03m 05s · 1d 02h 03m"""
    total = round(seconds)
    minutes, s = divmod(total, 60)
    hours, m = divmod(minutes, 60)
    d, h = divmod(hours, 24)
    if total < 60:
        return f'{s}s'
    if total < 3600:
        return f'{m}m {s:02d}s'
    if total < 86400:
        return f'{h}h {m:02d}m {s:02d}s'
    return f'{d}d {h:02d}h {m:02d}m'


def ask_yes_no(question: str) -> bool:
    """Asks on the terminal until the answer is one."""
    while True:
        answer = input(f'{question} [y/n] ').strip().lower()
        if answer in ('y', 'yes', 'n', 'no'):
            return answer in ('y', 'yes')


def tuple_product(t: tuple) -> Any:
    """The product of the elements; 1 where there are none."""
    product = 1
    for value in t:
        product *= value
    return product


_CTYPES = {
    'uint8': ctypes.c_ubyte, 'uint16': ctypes.c_uint16, 'uint32': ctypes.c_uint32, 'uint64': ctypes.c_uint64,
    'int8': ctypes.c_byte, 'int16': ctypes.c_int16, 'int32': ctypes.c_int32, 'int64': ctypes.c_int64,
    'float32': ctypes.c_float, 'float64': ctypes.c_double,
}


def get_dtype_and_ctype(type_obj: Any) -> tuple['np.dtype', Any]:
    """The numpy dtype and the ctypes type of a type or of its name (`numpy.uint8`, 'float32' …)."""
    import numpy as np  # late, because commands that only print their help import this file
    name = np.dtype(type_obj).name
    if name not in _CTYPES:
        raise ValueError(f'Type {type_obj} has no ctypes counterpart; expected one of {", ".join(_CTYPES)}.')
    return np.dtype(name), _CTYPES[name]


def is_pickleable(obj: Any) -> bool:
    """Whether `pickle.dumps` takes it."""
    try:
        pickle.dump(obj, io.BytesIO())
    except Exception:  # pickling may call anything, so it may raise anything
        return False
    return True


# ---- Objects by name ---------------------------------------------------------------------------------------
# These import what they are told to: never pass them a name that comes out of a file.


def _import_longest_module(obj_name: str) -> tuple[types.ModuleType, str]:
    parts = obj_name.split('.')
    for end in range(len(parts) - 1, 0, -1):
        module_name, rest = '.'.join(parts[:end]), '.'.join(parts[end:])
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and (module_name == error.name or module_name.startswith(f'{error.name}.')):
                continue  # no such module; one that fails to import its own dependencies is an error
            raise
        _get_inside(module, rest)
        return module, rest
    raise ImportError(f'There is no module in which to find {obj_name!r}.')


def _get_inside(module: types.ModuleType, name: str) -> Any:
    obj = module
    for part in name.split('.'):
        if not hasattr(obj, part):
            raise ImportError(f'Module {module.__name__} has no {name!r}.')
        obj = getattr(obj, part)
    return obj


def get_module_from_obj_name(obj_name: str) -> tuple[types.ModuleType, str]:
    """Imports the module of 'package.module.Outer.inner'; returns it and 'Outer.inner'."""
    return _import_longest_module(obj_name)


def get_obj_by_name(name: str) -> Any:
    """The object called 'package.module.name'. Raises ImportError where there is none."""
    return _get_inside(*_import_longest_module(name))


def call_func_by_name(*args, func_name: str | None = None, **kwargs) -> Any:
    """Calls the function of this full name."""
    assert func_name is not None
    function = get_obj_by_name(func_name)
    assert callable(function), func_name
    return function(*args, **kwargs)


def construct_class_by_name(*args, class_name: str | None = None, **kwargs) -> Any:
    """An object of the class of this full name."""
    return call_func_by_name(*args, func_name=class_name, **kwargs)


def is_top_level_function(obj: Any) -> bool:
    """Whether it is a function that its module knows by its name."""
    return inspect.isfunction(obj) and getattr(sys.modules.get(obj.__module__), obj.__name__, None) is obj


def get_top_level_function_name(obj: Any) -> str:
    """'package.module.name' of such a function."""
    assert is_top_level_function(obj), obj
    module = obj.__module__
    if module == '__main__':
        module = os.path.splitext(os.path.basename(sys.modules[module].__file__))[0]
    return f'{module}.{obj.__name__}'


# ---- Files -------------------------------------------------------------------------------------------------


def list_dir_recursively_with_ignore(dir_path: str, ignores: list[str] | None = None,
                                     add_base_to_relative: bool = False) -> list[tuple[str, str]]:
    """(path, path relative to `dir_path`) of every file whose name and folders match none of the patterns.

    `add_base_to_relative` puts the last part of `dir_path` before the relative paths.
    """
    assert os.path.isdir(dir_path), dir_path
    ignores = ignores or []
    base = os.path.basename(os.path.normpath(dir_path)) if add_base_to_relative else ''

    def kept(name: str) -> bool:
        return not any(fnmatch.fnmatch(name, pattern) for pattern in ignores)

    found = []
    for folder, subfolders, files in os.walk(dir_path):
        subfolders[:] = sorted(filter(kept, subfolders))
        for name in sorted(filter(kept, files)):
            path = os.path.join(folder, name)
            found.append((path, os.path.join(base, os.path.relpath(path, dir_path))))
    return found


def copy_files_and_create_dirs(files: list[tuple[str, str]]) -> None:
    """Copies each (source, destination), making the folders it needs."""
    for source, destination in files:
        os.makedirs(os.path.dirname(destination) or '.', exist_ok=True)
        shutil.copyfile(source, destination)


# ---- URLs --------------------------------------------------------------------------------------------------


def is_url(obj: Any, allow_file_urls: bool = False) -> bool:
    """Whether it is a string naming an http(s) location, or with `allow_file_urls` a file:// one."""
    if not isinstance(obj, str):
        return False
    parts = urllib.parse.urlsplit(obj)
    if parts.scheme == 'file':
        return allow_file_urls and bool(parts.path)
    return parts.scheme in ('http', 'https') and bool(parts.hostname)


def open_url(url: str, cache_dir: str | None = None, num_attempts: int = 10, verbose: bool = True,
             return_filename: bool = False, cache: bool = True) -> IO[bytes] | str:
    """Opens a local path, a file:// or an http(s) URL for reading bytes; downloads are kept.

    `cache_dir`: instead of the `downloads` folder of the cache. `return_filename`: the file's path instead
    (needs the cache for http). Raises OSError with one sentence when there is nothing to open.
    """
    assert num_attempts >= 1, num_attempts
    assert not (return_filename and not cache), 'a file that is not kept has no name'
    if not re.match(r'[a-z]+://', url):  # a path
        return url if return_filename else open(url, 'rb')
    if url.startswith('file://'):
        path = urllib.request.url2pathname(urllib.parse.urlsplit(url).path)
        return path if return_filename else open(path, 'rb')
    if not is_url(url):
        raise OSError(f'Cannot open {url!r}: expected a path or a file, http or https URL.')
    folder = make_cache_dir_path('downloads') if cache_dir is None else cache_dir
    key = hashlib.md5(url.encode()).hexdigest()
    kept = sorted(glob.glob(os.path.join(glob.escape(folder), f'{key}_*'))) if cache else []
    if kept:
        return kept[0] if return_filename else open(kept[0], 'rb')
    with _download(url, folder if cache else None, num_attempts, verbose) as (file, name):
        if not cache:
            return io.BytesIO(file.read())
        path = os.path.join(folder, f'{key}_{name}')
        os.replace(file.name, path)
    return path if return_filename else open(path, 'rb')


class _GiveUp(Exception):
    """An answer that another attempt would not change."""


@contextlib.contextmanager
def _download(url: str, folder: str | None, num_attempts: int,
              verbose: bool) -> Iterator[tuple[IO[bytes], str]]:
    """A complete temporary file in `folder`, positioned at its beginning, and the name its server gives it.

    The file is removed afterwards unless it has been renamed. `verbose`: stderr says what is downloaded and,
    on a terminal, how much of it is there.
    """
    import requests  # slow to import, and rarely needed
    if verbose:
        print(f'Downloading {url}', file=sys.stderr, flush=True)
    show = _show_size if verbose and sys.stderr.isatty() else lambda *sizes: None
    if folder is not None:
        os.makedirs(folder, exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=folder, prefix='.', suffix='.part', delete=False)
    try:
        with file, requests.Session() as session:
            for attempt in range(1, num_attempts + 1):
                try:
                    name = _attempt(session, url, file, show)
                    break
                except (requests.RequestException, _GiveUp) as error:
                    if attempt == num_attempts or isinstance(error, _GiveUp):
                        tries = f' after {attempt} attempts' if attempt > 1 else ''
                        raise OSError(f'Cannot download {url}{tries}: {_brief(error)}.') from None
                time.sleep(min(0.25 * 2 ** attempt, 4))
            if folder is not None:
                os.fsync(file.fileno())
            yield file, name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(file.name)


def _show_size(done: int, size: str | None) -> None:
    total = f' of {int(size) / 1e6:.0f}' if size else ''
    end = '\n' if size and done == int(size) else ''
    print(f'\r{done / 1e6:.0f}{total} MB', end=end, file=sys.stderr, flush=True)


def _attempt(session, url: str, file: IO[bytes], show: Callable[[int, str | None], None]) -> str:
    """Writes the answer to `file`, returns its name; raises RequestException where a retry may help."""
    import requests
    file.seek(0)
    file.truncate()
    with session.get(url, stream=True, timeout=30, headers={'Accept-Encoding': 'identity'}) as answer:
        if 400 <= answer.status_code < 500 and answer.status_code not in (408, 429):
            raise _GiveUp(f'the server answers {answer.status_code} {answer.reason}')
        if answer.status_code != 200:
            raise requests.RequestException(f'the server answers {answer.status_code} {answer.reason}')
        expected = answer.headers.get('Content-Length')
        for block in answer.iter_content(1 << 20):
            file.write(block)
            show(file.tell(), expected)
        if file.tell() == 0 or expected is not None and file.tell() != int(expected):
            raise requests.RequestException(f'{file.tell()} of {expected or "some"} bytes arrived')
        given = re.search(r'filename="?([^";]+)', answer.headers.get('Content-Disposition', ''))
        name = given[1] if given else urllib.parse.urlsplit(answer.url).path.rsplit('/', 1)[-1]
    file.flush()
    file.seek(0)
    return re.sub(r'[^0-9A-Za-z._-]', '_', name)[-128:] or 'download'


def _brief(error: Exception) -> str:
    """What went wrong in a few words; the exceptions of requests wrap others and print their addresses."""
    while True:
        inner = [e for e in (getattr(error, 'reason', None), *error.args) if isinstance(e, Exception)]
        if not inner:
            break
        error = inner[0]
    text = str(error.args[-1] if error.args else error) or type(error).__name__
    return re.sub(r'^\w+\([^)]*\): ', '', text.splitlines()[0]).rstrip('.')
