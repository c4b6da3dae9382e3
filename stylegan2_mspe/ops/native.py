"""Compiles cpu_kernels.cpp for this processor on first use and keeps it; None where there is no compiler.

The source needs no header of torch, so this takes a second or two. The library takes the OpenMP runtime that
torch has already loaded (it is found by name), so that both share one pool of threads.
"""

import ctypes
import functools
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import warnings

import torch

import dnnlib

try:
    from torch_utils.build_once import build_once
except ImportError:             # another checkout's torch_utils: every process builds for itself
    def build_once(target, build):
        if not os.path.isfile(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as folder:
                build(os.path.join(folder, 'unfinished'))
                os.replace(os.path.join(folder, 'unfinished'), target)

SOURCE = pathlib.Path(__file__).with_name('cpu_kernels.cpp')
FLAGS = ['-O3', '-march=native', '-std=c++17', '-fopenmp', '-fno-math-errno', '-fno-trapping-math',
         '-shared', '-fPIC']

enabled = True                  # False: everything runs as plain PyTorch


def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None: then the plain versions serve, after one line that says why."""
    return _library() if enabled else None


def usable(*tensors: torch.Tensor | None) -> ctypes.CDLL | None:
    """The kernels, if they take these tensors: float32 or bfloat16 on a CPU, not empty, not being traced."""
    for tensor in tensors:
        if tensor is None:
            continue
        taken = tensor.device.type == 'cpu' and tensor.dtype in (torch.float32, torch.bfloat16)
        if not taken or tensor.numel() == 0:
            return None
    return None if torch.jit.is_tracing() else library()


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(build()))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f'CPU kernels are not available ({reason}): '
                      'running plain PyTorch, at about half the speed', stacklevel=4)
        return None


def build() -> pathlib.Path:
    """Compiles the kernels unless a build of this source for this processor is there.

    Raises OSError or SubprocessError where the compiler is missing or fails.
    """
    compiler = os.environ.get('CXX') or shutil.which('c++') or shutil.which('g++') or shutil.which('clang++')
    if compiler is None:
        raise OSError('no C++ compiler found')
    version = subprocess.run([compiler, '--version'], capture_output=True, text=True, timeout=60).stdout
    inputs = [SOURCE.read_text(encoding='utf-8'), version, *FLAGS, platform.machine(), processor_flags()]
    key = hashlib.sha256('\n'.join(inputs).encode()).hexdigest()[:16]
    target = pathlib.Path(dnnlib.make_cache_dir_path('plugins', f'cpu_kernels-{key}.so'))
    build_once(str(target), lambda output: _compile(compiler, output))
    return target


def _compile(compiler: str, output: str) -> None:
    result = subprocess.run([compiler, *FLAGS, '-o', output, str(SOURCE)],
                            capture_output=True, text=True, timeout=120)
    if result.returncode:
        raise OSError(f'{compiler} failed: {(result.stderr.strip() or "no message").splitlines()[0]}')


def processor_flags() -> str:
    """What the processor can do, where the system tells: different machines may share a cache folder."""
    try:
        with open('/proc/cpuinfo') as file:
            return next((line for line in file if line.startswith(('flags', 'Features'))), '')
    except OSError:
        return platform.processor()
