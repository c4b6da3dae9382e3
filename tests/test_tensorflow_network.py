"""TensorFlow's network pickles, made by hand from networks of ours."""

import io

import numpy as np
import pytest
import torch

from stylegan2_mspe.legacy import NetworkFileError, load_network_pkl
from tests import tensorflow_pickle
from tests.small_networks import draw, make_discriminator, make_generator


@pytest.mark.parametrize('architecture', ['orig', 'skip', 'resnet'])
@pytest.mark.parametrize('c_dim, layers', [(0, 8), (3, 8), (3, 0)])
def test_tensorflow_pickles(architecture, c_dim, layers, monkeypatch):
    options = dict(channel_base=64, channel_max=8, architecture=architecture)
    G, half = (make_generator(seed, c_dim=c_dim, synthesis_kwargs=options) for seed in (1, 2))
    D = make_discriminator(c_dim=c_dim, mapping_kwargs=dict(num_layers=layers) if c_dim else {}, **options)
    static = dict(fmap_base=32, fmap_max=8, architecture=architecture, resample_kernel=[1, 3, 3, 1])
    three = (tensorflow_pickle.generator(half, **static), tensorflow_pickle.discriminator(D, **static),
             tensorflow_pickle.generator(G, conv_clamp=256, num_fp16_res=2, **static))
    content = load_network_pkl(io.BytesIO(tensorflow_pickle.dumps(three, monkeypatch)))
    images = torch.from_numpy(np.random.RandomState(1).randn(2, 3, 16, 16)).float()
    labels = torch.eye(3)[:2] if c_dim else None
    for ours, theirs in [(draw(content['G']), draw(half)), (draw(content['G_ema']), draw(G)),
                         (content['D'](images, labels), D(images, labels))]:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.std() + theirs.abs().max()))
    assert content['G_ema'].synthesis.b16.conv1.conv_clamp == 256 and content['G_ema'].synthesis.b8.use_fp16
    assert content['training_set_kwargs'] is None and content['augment_pipe'] is None


def of_part(G, name):
    return G.state['components'][name].state['variables']


@pytest.mark.parametrize('change, asked', [
    (lambda G: G.state.update(variables=None), 'unknown form'),
    (lambda G: G.state['static_kwargs'].update(mapping_nonlinearity='relu'), "mapping_nonlinearity = 'relu'"),
    (lambda G: of_part(G, 'synthesis').append(('8x8/Fancy/weight', 5)), 'Fancy'),
    (lambda G: of_part(G, 'synthesis').pop(), 'lacks parameter G.synthesis'),
    (lambda G: G.state['components'].update(synthesis=5), 'unknown form'),
    (lambda G: G.state['components'].update(mapping=G), 'unknown form|without end'),
    (lambda G: of_part(G, 'mapping').append(('LabelConcat/weight', 5)), 'LabelConcat'),
    (lambda G: G.state.update(components={str(index): G for index in range(100)}), 'unknown form'),
    (lambda G: G.state['variables'].append(('dlatent_avg', 'x')), 'dlatent_avg'),
])
def test_tensorflow_pickles_of_another_kind_are_refused(change, asked, monkeypatch):
    module = make_generator(synthesis_kwargs=dict(channel_base=64, channel_max=8))
    G = tensorflow_pickle.generator(module)
    change(G)
    data = tensorflow_pickle.dumps((G, tensorflow_pickle.discriminator(make_discriminator()), G), monkeypatch)
    with pytest.raises(NetworkFileError, match=asked):
        load_network_pkl(io.BytesIO(data))
