"""Keeps the memory that a process on a CPU frees, for its next feature map.

glibc gives large blocks back to the system at once and asks for them again a moment later; the system then
clears every page anew, which took a twentieth to a tenth of a training step. There is nothing to do for CUDA
memory, which torch keeps itself.
"""

import ctypes
import functools

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4           # of glibc's malloc.h


@functools.cache
def keep_freed_memory() -> bool:
    """Tells glibc to keep what is freed for as long as this process lives; False = there is no glibc.

    The process then stays as large as it has been once.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):            # musl, macOS; Windows
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2 ** 31 - 1))
