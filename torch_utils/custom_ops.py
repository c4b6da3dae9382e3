"""Compiled operators: which implementation runs, and building extensions on first use.

A build is named after everything it depends on, made under a temporary name and renamed when complete:
nothing stale is ever loaded, and a build that was killed leaves no lock for others to wait on.
"""

import glob
import hashlib
import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from types import ModuleType

import torch

import dnnlib

verbosity = 'brief'  # what get_plugin prints: 'none', 'brief' (one line) or 'full' (the compiler's output)

_kernels: dict[tuple[str, str], Callable] = {}  # operator, device type → kernel
_plugins: dict[str, ModuleType] = {}  # build folder → module

# ---- Choosing ----------------------------------------------------------------------------------------------


def register_kernel(name: str, function: Callable, device: str = 'cuda') -> None:
    """Makes `function` what operator `name` runs on tensors of that device type; it has the plain version's signature."""
    _kernels[name, device] = function


def implementation(name: str, plain: Callable, x: torch.Tensor, impl: str) -> Callable:
    """What runs operator `name` on `x`: the kernel registered for its device unless `impl` is 'ref', else `plain`."""
    return plain if impl == 'ref' else _kernels.get((name, x.device.type), plain)


# ---- Building ----------------------------------------------------------------------------------------------


def get_plugin(module_name: str, sources: list[str], **build_kwargs) -> ModuleType:
    """Compiles C++/CUDA `sources` into an extension module, or loads the one compiled earlier.

    build_kwargs go to torch.utils.cpp_extension.load (extra_cflags, extra_cuda_cflags …). Builds are kept in
    the cache folder, one per content of the sources and of the headers beside them, torch, CUDA, GPU
    architecture, Python and flags. Raises RuntimeError with one sentence when it cannot be built.
    """
    assert verbosity in ('none', 'brief', 'full'), verbosity
    sources = [os.path.abspath(source) for source in sources]
    digest = _fingerprint(module_name, sources, build_kwargs)
    folder = dnnlib.make_cache_dir_path('plugins', f'{module_name}-{digest}')
    if folder not in _plugins:
        say = print if verbosity != 'none' else lambda *args, **kwargs: None
        end = '\n' if verbosity == 'full' else ''
        say(f'Setting up PyTorch plugin {module_name}... ', end=end, flush=True)
        try:
            if not os.path.isdir(folder):
                _build(module_name, sources, build_kwargs, folder)
            _plugins[folder] = _load(folder)
        except Exception as error:
            say('Failed.')
            raise RuntimeError(f'Plugin {module_name} could not be built: {_in_one_line(error)}') from error
        say('Done.')
    return _plugins[folder]


def _fingerprint(module_name: str, sources: list[str], build_kwargs: dict) -> str:
    digest = hashlib.sha256()
    for fact in (module_name, torch.__version__, torch.version.cuda, sys.version,
                 sorted(build_kwargs.items()), os.environ.get('TORCH_CUDA_ARCH_LIST'),
                 torch.cuda.get_device_capability() if torch.cuda.is_available() else None):
        digest.update(f'{fact}\n'.encode())
    folders = sorted({os.path.dirname(source) for source in sources})
    headers = [path for folder in folders for suffix in ('h', 'hpp', 'cuh')
               for path in sorted(glob.glob(os.path.join(glob.escape(folder), f'*.{suffix}')))]
    for path in [*sources, *headers]:
        with open(path, 'rb') as file:
            content = file.read()
        digest.update(f'{os.path.basename(path)} {len(content)}\n'.encode() + content)
    return digest.hexdigest()[:32]


def _build(module_name: str, sources: list[str], build_kwargs: dict, folder: str) -> None:
    from torch.utils import cpp_extension  # slow to import, and rarely needed
    parent = os.path.dirname(folder)
    os.makedirs(parent, exist_ok=True)
    unfinished = tempfile.mkdtemp(prefix=f'{os.path.basename(folder)}.', suffix='.part', dir=parent)
    path = os.environ.get('PATH', '')
    try:
        # ninja lies beside the interpreter, also of an environment that is not activated
        os.environ['PATH'] = os.pathsep.join([path, sysconfig.get_path('scripts')])
        cpp_extension.load(name=module_name, sources=sources, build_directory=unfinished,
                           verbose=verbosity == 'full', is_python_module=False, **build_kwargs)
        try:
            os.rename(unfinished, folder)
        except OSError:
            if not os.path.isdir(folder):  # else another process was faster, with the same result
                raise
    finally:
        os.environ['PATH'] = path
        shutil.rmtree(unfinished, ignore_errors=True)


def _load(folder: str) -> ModuleType:
    [path] = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(('.so', '.pyd'))]
    name = os.path.splitext(os.path.basename(path))[0]  # torch numbers the builds of one name in a process
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _in_one_line(error: Exception) -> str:
    """The line of a compiler's output that says what is wrong, or the first one there is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if 'error:' in line), lines[0])
