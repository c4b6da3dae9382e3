"""Reference numbers of independent implementations, and networks filled with reproducible weights.

Every parameter and float buffer is drawn from its own name, so that any implementation with the same names
holds the same weights; a fresh network has zero biases and noise strengths and would hide mistakes.
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
        pytest.skip(f'reference numbers {path.name} are not on this machine '
                    '(set MSPE_GOLDEN to their folder)')
    return np.load(path, allow_pickle=False)


def draw(name: str, shape, seed: int) -> torch.Tensor:
    generator = np.random.RandomState(zlib.crc32(name.encode()) ^ seed)
    return torch.from_numpy(np.asarray(generator.standard_normal(tuple(shape)), dtype=np.float32))


def golden_value(name: str, shape, seed: int) -> torch.Tensor:
    """The tensor of a StyleGAN2 network that golden/README gives this name."""
    value = draw(name, shape, seed)
    if name.endswith('noise_strength'):
        return 0.1 * value
    if name.endswith('affine.bias'):
        return 1 + 0.1 * value
    return 100 * value if 'mapping.fc' in name and name.endswith('weight') else value


@torch.no_grad()
def fill(module: torch.nn.Module, seed: int = 20210802) -> torch.nn.Module:
    """Fills a StyleGAN2 network in place and returns it in eval mode, without gradients."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if not name.endswith('resample_filter') and tensor.is_floating_point():
            tensor.copy_(golden_value(name, tensor.shape, seed))
    return module.eval().requires_grad_(False)
