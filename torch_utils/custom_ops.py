"""Compiled operators: which implementation runs, and building extensions on first use."""

from collections.abc import Callable

import torch

verbosity = 'brief'  # what get_plugin prints: 'none', 'brief' (one line) or 'full' (the compiler's output)

_kernels: dict[str, Callable] = {}


def register_kernel(name: str, function: Callable) -> None:
    """Makes `function` what operator `name` runs on CUDA tensors; it has the plain version's signature."""
    _kernels[name] = function


def implementation(name: str, plain: Callable, x: torch.Tensor, impl: str) -> Callable:
    """The function to run operator `name` on `x`: a registered kernel if `impl` and `x` allow one, else `plain`."""
    return _kernels.get(name, plain) if impl == 'cuda' and x.is_cuda else plain
