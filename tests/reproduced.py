"""Running tools/reproduce.py on small networks of digits that have learnt nothing."""

import json

import torch
from click.testing import CliRunner

from stylegan2_mspe import networks, quality
from tests.golden import fill
from tools import reproduce

GOOD = quality.Quality(10, [0.1] * 10, 0.9, 0.95, 3.32)
BAD = quality.Quality(10, [1.0] + [0.0] * 9, 0.9, 0.95, 0.0)


def make_generator(pe):
    torch.manual_seed(0)
    kwargs = dict(channel_base=256, channel_max=8, pe=pe)
    return fill(networks.Generator(8, 0, 8, 64, 1, synthesis_kwargs=kwargs), seed=3)


def reproduced(tmp_path, *command):
    """Runs tools/reproduce.py: what it printed, and the numbers it wrote."""
    result = CliRunner().invoke(reproduce.main, [*command, f'--outdir={tmp_path}'], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output, json.loads((tmp_path / f'{command[0]}.json').read_text())
