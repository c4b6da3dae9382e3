"""The 10,000 test digits of MNIST, which are not part of the project."""

import os
import pathlib

import numpy as np
import pytest

from stylegan2_mspe import idx

FOLDER = pathlib.Path(os.environ.get('MSPE_MNIST',
                                     pathlib.Path(__file__).parents[2] / 'shared' / 'data' / 'mnist'))


def real_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first of them, uint8 [N, 28, 28], and their classes; or skips the test that asked."""
    if not FOLDER.is_dir():
        pytest.skip("MNIST's files are not on this machine (set MSPE_MNIST to their folder)")
    pictures, classes = idx.read_mnist(str(FOLDER), 't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte')
    return pictures[:count], classes[:count]
