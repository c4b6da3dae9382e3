"""The package beside another checkout: it leans on the public interface of StyleGAN2-ADA-PyTorch alone.

tests/plug holds a minimal torch_utils and dnnlib; a process that sees these and stylegan2_mspe, and nothing
else of ours, builds, trains one step, draws, saves and loads.
"""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from stylegan2_mspe import legacy, networks
from tests.golden import fill

ROOT = pathlib.Path(__file__).parents[1]

PROGRAM = '''
import copy, pickle, sys
# An editable installation of ours would add its modules to the other checkout's packages.
sys.meta_path[:] = [finder for finder in sys.meta_path
                    if not getattr(finder, '__module__', '').startswith('__editable__')]
import numpy as np, torch, dnnlib
from torch_utils import training_stats
folder, with_ours = sys.argv[1], sys.argv[2] == 'ours'
if not with_ours:
    sys.modules['stylegan2_mspe'] = None        # even where it is installed
assert 'plug' in dnnlib.__file__ and 'plug' in sys.modules['torch_utils'].__file__

def picture(G, **options):
    z = torch.from_numpy(np.random.RandomState(0).randn(2, 8))
    return G(z, torch.zeros(2, 0), noise_mode='const', **options)

for name in ('none', 'mspe'):
    with open(f'{folder}/{name}.pkl', 'rb') as file:        # executes the recorded source, as others do
        content = pickle.load(file)
    G, D = content['G_ema'], content['D']
    try:
        drawn = picture(G)
    except ValueError as error:
        assert name == 'mspe' and not with_ours and 'pip install' in str(error), error
        continue
    expected = torch.from_numpy(np.load(f'{folder}/{name}.npy'))
    assert (drawn - expected).abs().max() < 1e-4 * expected.std()
    assert D(drawn, None).shape == (2, 1) and G.init_kwargs.z_dim == 8 and not G.training
    assert with_ours or name == 'none'

if with_ours:
    from stylegan2_mspe import legacy, loss, pe
    options = dict(channel_base=64, channel_max=16, num_fp16_res=1, conv_clamp=256)
    G = dnnlib.util.construct_class_by_name(
        class_name='stylegan2_mspe.networks.Generator', z_dim=8, c_dim=0, w_dim=8, img_resolution=16,
        img_channels=3, mapping_kwargs=dict(num_layers=2), synthesis_kwargs=dict(options, pe='mspe'))
    D = dnnlib.util.construct_class_by_name(
        class_name='stylegan2_mspe.networks.Discriminator', c_dim=0, img_resolution=16, img_channels=3,
        **options)
    before = copy.deepcopy(G)
    task = loss.StyleGAN2Loss('cpu', G.mapping, G.synthesis, D)
    real, z, c = torch.rand(4, 3, 16, 16) * 2 - 1, torch.randn(4, 8), torch.zeros(4, 0)
    for module, phases in ((G, ('Gmain', 'Greg')), (D, ('Dmain', 'Dreg'))):
        optimizer = torch.optim.Adam(module.parameters(), lr=.002, betas=(0., .99))
        for phase in phases:
            task.accumulate_gradients(phase, real, c, z, c, sync=True, gain=1)
        optimizer.step()
    moved = [name for name, value in G.named_parameters()
             if not torch.equal(value, before.get_parameter(name))]
    assert 'synthesis.b8.gamma' in moved and 'mapping.fc0.weight' in moved, moved
    assert 'Loss/G/loss' in training_stats.seen
    G.eval().requires_grad_(False)
    canvas = pe.Canvas.identity(16).shifted(3, -2).extended(0, 0, 8, 8)
    assert picture(G, canvas=canvas).shape == (2, 3, 16, 32)
    legacy.save_network_pkl(f'{folder}/saved.pkl', G=G, D=D, G_ema=G, training_set_kwargs=None)
    loaded = legacy.load_network_pkl(f'{folder}/saved.pkl')['G_ema']
    with open(f'{folder}/saved.pkl', 'rb') as file:
        pickled = pickle.load(file)['G_ema']
    for other in (loaded, pickled, copy.deepcopy(G)):
        assert torch.equal(picture(other, canvas=canvas), picture(G, canvas=canvas))
    np.save(f'{folder}/saved.npy', picture(G))
foreign = {name for name, module in sys.modules.items()
           if name.split('.')[0] in ('torch_utils', 'dnnlib', 'tools')
           and 'plug' not in (module.__file__ or 'plug')}
assert not foreign, foreign
'''


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A baseline and an MS-PE network as we save them, and what they draw."""
    folder = tmp_path_factory.mktemp('plug')
    for plan in ('none', 'mspe'):
        G = fill(networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=2),
                                    synthesis_kwargs=dict(channel_base=64, channel_max=8, pe=plan)))
        D = fill(networks.Discriminator(0, 16, 3, channel_base=64, channel_max=8))
        legacy.save_network_pkl(folder / f'{plan}.pkl', G=G, D=D, G_ema=G, training_set_kwargs=None)
        np.save(folder / f'{plan}.npy', draw(G))
    return folder


def draw(G):
    return G(torch.from_numpy(np.random.RandomState(0).randn(2, 8)), torch.zeros(2, 0), noise_mode='const')


@pytest.mark.parametrize('ours', ['ours', 'without'])
def test_another_checkout_opens_builds_trains_saves_and_loads(files, tmp_path, ours):
    paths = [ROOT / 'tests' / 'plug']
    if ours == 'ours':
        (tmp_path / 'stylegan2_mspe').symlink_to(ROOT / 'stylegan2_mspe')
        paths.append(tmp_path)
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, paths)),
                   'DNNLIB_CACHE_DIR': os.environ.get('DNNLIB_CACHE_DIR', str(tmp_path / 'cache'))}
    command = [sys.executable, '-P', '-c', PROGRAM, str(files), ours]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if ours == 'ours':
        G = legacy.load_network_pkl(files / 'saved.pkl')['G_ema']
        drawn, expected = draw(G), torch.from_numpy(np.load(files / 'saved.npy'))
        assert (drawn - expected).abs().max() < 1e-4 * expected.std()
