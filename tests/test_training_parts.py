"""What a training is made of: the phases and their optimizers."""

import pytest
import torch

from stylegan2_mspe import training_parts
from tests import tiny


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


def test_lazy_regularisation_scales_rate_and_memory(data):
    """lr · i/(i+1), β^(i/(i+1)): G every 4 steps, D every 16 (StyleGAN2, appendix B)."""
    config = tiny.config(data, lr=.0025, g_reg_interval=4, d_reg_interval=16)
    phases = training_parts.make_phases(config, torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    assert [(phase.name, phase.interval) for phase in phases] == [('Gmain', 1), ('Greg', 4), ('Dmain', 1),
                                                                  ('Dreg', 16)]
    groups = [phase.optimizer.param_groups[0] for phase in phases]
    assert [group['lr'] for group in groups] == pytest.approx([.002, .002, .0025 * 16 / 17, .0025 * 16 / 17])
    assert [group['betas'][1] for group in groups] == pytest.approx(
        [.99 ** .8, .99 ** .8, .99 ** (16 / 17), .99 ** (16 / 17)])
    assert {group['betas'][0] for group in groups} == {0} and {group['eps'] for group in groups} == {1e-8}
    assert phases[0].optimizer is phases[1].optimizer is not phases[2].optimizer


def test_without_path_length_the_rate_stays_scaled(data):
    config = tiny.config(data, pl_weight=0., g_reg_interval=4, lr=.002)
    phases = training_parts.make_phases(config, torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    assert [phase.name for phase in phases] == ['Gmain', 'Dmain', 'Dreg']
    assert phases[0].optimizer.param_groups[0]['lr'] == pytest.approx(.0016)
    config = tiny.config(data, gamma=0.)
    phases = training_parts.make_phases(config, torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    assert [phase.name for phase in phases] == ['Gmain', 'Greg', 'Dmain']
