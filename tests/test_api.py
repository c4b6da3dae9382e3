"""The three lines of the package's docstring, as they stand there."""

import subprocess
import sys
import textwrap

import pytest
import torch

import stylegan2_mspe as mspe
from stylegan2_mspe import rendering


def test_the_three_lines_do_what_they_say():
    lines = textwrap.dedent(mspe.__doc__.split('\n\n', 2)[2])
    assert lines.count('\n') <= 6
    names = {}
    exec(lines, names)
    G, canvas, picture = names['G'], names['canvas'], names['picture']
    assert picture.shape == (3, 64, 192) and (canvas.height, canvas.width) == (64, 192)
    expected = rendering.render(G, rendering.seed_ws(G, [3]), canvas)[0]
    assert (picture - expected).abs().max() < 1e-5 * expected.std()
    padded = mspe.render(G, canvas, seed=3, border='zero', window=(0, 0, 8, 9))
    assert padded.shape == (3, 8, 9) and not torch.allclose(padded, picture[:, :8, :9], atol=1e-2)


def test_the_package_is_imported_without_torch():
    program = 'import sys, stylegan2_mspe; assert not {"torch", "numpy"} & set(sys.modules)'
    subprocess.run([sys.executable, '-c', program], check=True)


def test_other_names_are_none_of_the_package():
    with pytest.raises(AttributeError, match="has no attribute 'rendr'"):
        mspe.rendr
    with pytest.raises(FileNotFoundError):
        mspe.load('no such file.pkl')
