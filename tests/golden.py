"""Reference numbers of independent implementations, and networks filled with reproducible weights.

Every parameter and float buffer is drawn from its own name, so that any implementation with the same names holds
the same weights; a fresh network has zero biases and noise strengths and would hide mistakes.
"""

import os
import pathlib
import zlib

import numpy as np
import pytest
import torch

FOLDER = pathlib.Path(os.environ.get('MSPE_GOLDEN', pathlib.Path(__file__).parents[2] / 'shared' / 'golden'))


def golden(name: str):
    """Loads `<name>.npz` of the golden folder ($MSPE_GOLDEN), or skips the test that asked."""
    path = FOLDER / f'{name}.npz'
    if not path.is_file():
        pytest.skip(f'reference numbers {path.name} are not on this machine (set MSPE_GOLDEN to their folder)')
    return np.load(path, allow_pickle=False)


def draw(name: str, shape, seed: int) -> torch.Tensor:
    generator = np.random.RandomState(zlib.crc32(name.encode()) ^ seed)
    return torch.from_numpy(np.asarray(generator.standard_normal(tuple(shape)), dtype=np.float32))


@torch.no_grad()
def fill(module: torch.nn.Module, seed: int = 20210802) -> torch.nn.Module:
    """Fills a StyleGAN2 network in place and returns it in eval mode, without gradients."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if name.endswith('resample_filter') or not tensor.is_floating_point():
            continue
        value = draw(name, tensor.shape, seed)
        if name.endswith('noise_strength'):
            value = 0.1 * value
        elif name.endswith('affine.bias'):
            value = 1 + 0.1 * value
        elif 'mapping.fc' in name and name.endswith('weight'):
            value = 100 * value
        tensor.copy_(value)
    return module.eval().requires_grad_(False)
