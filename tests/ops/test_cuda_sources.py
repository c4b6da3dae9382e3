"""The CUDA sources as nvcc sees them, which needs no GPU, and their bindings without any header of torch."""

import re
import shutil
import subprocess
import sysconfig

import pytest
from torch.utils.cpp_extension import COMMON_NVCC_FLAGS

from tests.compiled_on_host import FOLDERS, SHARED

NVCC = shutil.which('nvcc')
ARCHITECTURES = 75, 80, 90


@pytest.mark.skipif(NVCC is None, reason='no nvcc on this machine')
@pytest.mark.parametrize('name', FOLDERS)
def test_nvcc_alone_compiles(name, tmp_path):
    """With the flags of torch, and the standard of newer ones; tests.compiled_on_host has that of older."""
    output = tmp_path / 'kernels.fatbin'
    targets = [f'-gencode=arch=compute_{number},code=sm_{number}' for number in ARCHITECTURES]
    quickly = ['-O0', '-Xcicc', '-O0', '-Xptxas', '-O0']
    command = [NVCC, '-std=c++20', *COMMON_NVCC_FLAGS, '-fatbin', '-Werror', 'all-warnings', *quickly,
               *targets, f'-I{SHARED}', '-o', str(output), str(FOLDERS[name] / f'{name}.cu')]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    kernels = set(re.findall(rb'_ZN\w*(?:tiles|any|pass|channels_last|planes)\w*', output.read_bytes()))
    assert len(kernels) >= 4, 'a kernel for each type at least'


@pytest.mark.skipif(shutil.which('c++') is None, reason='no C++ compiler on this machine')
@pytest.mark.parametrize('name', FOLDERS)
def test_the_binding_needs_python_alone(name, tmp_path):
    includes = [f'-I{folder}' for folder in (sysconfig.get_path('include'), SHARED)]
    command = ['c++', '-std=c++17', '-Wall', '-Werror', '-fsyntax-only',
               f'-DTORCH_EXTENSION_NAME={name}_plugin', *includes, str(FOLDERS[name] / f'{name}.cpp')]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
