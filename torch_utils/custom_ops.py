"""Compiled operators: which implementation runs, and building extensions on first use.

A build is named after everything it depends on, made under a temporary name by one process while others wait,
and renamed when complete: nothing stale is ever loaded, and a build that was killed holds nobody up.
"""

import functools
import glob
import hashlib
import importlib.util
import math
import os
import shutil
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Callable
from types import ModuleType

import torch

import dnnlib
from torch_utils.build_once import build_once, one_line

verbosity = 'brief'  # what get_plugin prints: 'none', 'brief' (one line) or 'full' (the compiler's output)
enabled = True       # False: no CUDA kernel of ours is built or run

HEADERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ops', 'cuda')  # what .cu files share
DTYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2, torch.float64: 3}  # as in ops/cuda/types.h

_kernels: dict[tuple[str, str], Callable] = {}  # operator, device type → kernel
_plugins: dict[str, ModuleType] = {}  # build folder → module
_warned: list[str] = []  # why there are no CUDA kernels

# ---- Choosing ----------------------------------------------------------------------------------------------


def register_kernel(name: str, function: Callable, device: str = 'cuda') -> None:
    """Makes `function` what operator `name` runs on tensors of that device type.

    It has the plain version's signature.
    """
    _kernels[name, device] = function


def implementation(name: str, plain: Callable, x: torch.Tensor, impl: str) -> Callable:
    """What runs operator `name` on `x`: its device's kernel unless `impl` is 'ref', else `plain`."""
    return plain if impl == 'ref' else _kernels.get((name, x.device.type), plain)


# ---- CUDA kernels ------------------------------------------------------------------------------------------


def cuda_plugin(name: str, folder: str, agrees: Callable[[ModuleType], bool]) -> ModuleType | None:
    """The kernels of `folder`/`name`.cu behind `folder`/`name`.cpp; None where they cannot be had.

    `agrees` tells whether they compute on this machine what plain PyTorch does, asked once. Where there are
    none, one line has said why, once for all kernels, and plain PyTorch serves.
    """
    return _cuda_plugin(name, folder, agrees) if enabled and not torch.jit.is_tracing() else None


@functools.cache
def _cuda_plugin(name: str, folder: str, agrees: Callable[[ModuleType], bool]) -> ModuleType | None:
    sources = [os.path.join(folder, f'{name}.{suffix}') for suffix in ('cpp', 'cu')]
    try:
        _require_cuda_compiler()
        plugin = get_plugin(f'{name}_plugin', sources, extra_cuda_cflags=['-O3'],
                            extra_include_paths=[HEADERS])
        with torch.inference_mode(False), torch.enable_grad():
            if not agrees(plugin):
                raise RuntimeError(f'those of {name} disagree with plain PyTorch on this GPU')
        return plugin
    except Exception as error:      # whatever it is, training has to start
        _warn_once(one_line(error))
        return None


def _require_cuda_compiler() -> None:
    if torch.version.cuda is None:
        raise RuntimeError('this PyTorch was built without CUDA')
    if not os.path.isfile(_nvcc()):
        raise RuntimeError('no nvcc found; CUDA_HOME names the folder of a CUDA toolkit')


def _warn_once(reason: str) -> None:
    if _warned:
        return
    _warned.append(reason)
    warnings.warn(f'CUDA kernels are not available ({reason}): running plain PyTorch, more slowly',
                  stacklevel=2)


def trial(*shape: int) -> torch.Tensor:
    """Numbers in -1…1 on the GPU, to see what kernels make of them; leaves random generators alone."""
    return torch.arange(math.prod(shape), device='cuda').mul(0.7).sin().reshape(shape)


def address(tensor: torch.Tensor | None) -> int:
    """Where a tensor's numbers begin; 0 = there is no tensor."""
    return 0 if tensor is None else tensor.data_ptr()


def launch(function: Callable, x: torch.Tensor, *arguments) -> None:
    """Calls a function of a plugin on x's device, its last argument being the current stream there.

    Raises RuntimeError with CUDA's words for what went wrong.
    """
    if not x.is_cuda:               # kernels compiled for a CPU, in tests
        return function(*arguments, 0)
    with torch.cuda.device(x.device):
        return function(*arguments, torch.cuda.current_stream().cuda_stream)


# ---- Building ----------------------------------------------------------------------------------------------


def get_plugin(module_name: str, sources: list[str], **build_kwargs) -> ModuleType:
    """Compiles C++/CUDA `sources` into an extension module, or loads the one compiled earlier.

    build_kwargs go to torch.utils.cpp_extension.load (extra_cflags, extra_cuda_cflags …). Builds are kept in
    the cache folder, one per content of the sources and of the headers beside them, torch, CUDA, GPU
    architectures, compilers, Python and flags. Raises RuntimeError with one sentence when it cannot be built.
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
            _plugins[folder] = _built(folder, lambda place: _build(module_name, sources, build_kwargs, place))
        except Exception as error:
            say('Failed.')
            raise RuntimeError(f'Plugin {module_name} could not be built: {one_line(error)}') from error
        say('Done.')
    return _plugins[folder]


def _built(folder: str, build: Callable[[str], None]) -> ModuleType:
    """The module in that folder; one that is damaged is built anew."""
    if os.path.isdir(folder):
        try:
            return _load(folder)
        except (ImportError, OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)
    build_once(folder, build)
    return _load(folder)


def _fingerprint(module_name: str, sources: list[str], build_kwargs: dict) -> str:
    digest = hashlib.sha256()
    gpus = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
    with_cuda = any(source.endswith('.cu') for source in sources)
    # Compilers count by what they are, not by where; folders among the flags by what is in them.
    compilers = [_version(os.environ.get('CXX') or 'c++'), _version(_nvcc()) if with_cuda else None]
    flags = sorted(item for item in build_kwargs.items() if item[0] != 'extra_include_paths')
    for fact in (module_name, torch.__version__, torch.version.cuda, sorted(gpus), compilers, sys.version,
                 flags, os.environ.get('TORCH_CUDA_ARCH_LIST')):
        digest.update(f'{fact}\n'.encode())
    folders = {os.path.dirname(source) for source in sources}
    folders.update(build_kwargs.get('extra_include_paths', ()))
    headers = [path for folder in sorted(folders) for suffix in ('h', 'hpp', 'cuh')
               for path in sorted(glob.glob(os.path.join(glob.escape(folder), f'*.{suffix}')))]
    for path in [*sources, *headers]:
        with open(path, 'rb') as file:
            content = file.read()
        digest.update(f'{os.path.basename(path)} {len(content)}\n'.encode() + content)
    return digest.hexdigest()[:32]


@functools.cache
def _nvcc() -> str:
    from torch.utils.cpp_extension import CUDA_HOME  # slow to import, and rarely needed
    return os.path.join(CUDA_HOME, 'bin', 'nvcc') if CUDA_HOME else ''


@functools.cache
def _version(compiler: str) -> str:
    """What a compiler says it is; nothing where it cannot be asked, which the build will find out."""
    try:
        return subprocess.run([compiler, '--version'], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ''


def _build(module_name: str, sources: list[str], build_kwargs: dict, folder: str) -> None:
    from torch.utils import cpp_extension
    os.mkdir(folder)
    path = os.environ.get('PATH', '')
    try:
        # ninja lies beside the interpreter, also of an environment that is not activated
        os.environ['PATH'] = os.pathsep.join([path, sysconfig.get_path('scripts')])
        cpp_extension.load(name=module_name, sources=sources, build_directory=folder,
                           verbose=verbosity == 'full', is_python_module=False, **build_kwargs)
    finally:
        os.environ['PATH'] = path


def _load(folder: str) -> ModuleType:
    [path] = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(('.so', '.pyd'))]
    name = os.path.splitext(os.path.basename(path))[0]  # torch numbers the builds of one name in a process
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
