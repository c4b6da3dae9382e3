"""The allocator: a large block that is freed serves the next one, with the pages it has."""

import ctypes
import subprocess
import sys

import pytest

from stylegan2_mspe import allocator

COUNT_FAULTS = '''
import resource
import numpy as np
from stylegan2_mspe import allocator
assert allocator.keep_freed_memory()
def fill():
    np.ones(10 * 2 ** 20, np.float32)               # 40 MiB, 10240 pages of 4 KiB
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
'''


@pytest.mark.skipif(sys.platform != 'linux', reason='counts page faults as Linux does')
def test_freed_memory_is_used_again():
    if not hasattr(ctypes.CDLL(None), 'mallopt'):
        pytest.skip('this system has no glibc')
    done = subprocess.run([sys.executable, '-c', COUNT_FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 10240 / 2


def test_a_system_without_glibc_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, 'CDLL', lambda name: object())
    assert allocator.keep_freed_memory.__wrapped__() is False
