"""TensorFlow's network pickles by hand: the tuple (G, D, Gs) as StyleGAN2's TensorFlow code leaves it."""

import pickle
import sys
import types

import numpy as np


class Network:
    """Pickles under the name of the class that TensorFlow pickles hold."""

    def __init__(self, name, static_kwargs, variables, components=()):
        self.state = dict(version=5, name=name, static_kwargs=static_kwargs, components=dict(components),
                          build_module_src='raise SystemExit', build_func_name=name, variables=variables,
                          input_shapes=[[None, 8]], output_shapes=[[None, 3, 8, 8]])

    def __getstate__(self):
        return self.state

    def __setstate__(self, state):
        raise AssertionError('never unpickled here')


Network.__module__, Network.__qualname__ = 'dnnlib.tflib.network', 'Network'


def dumps(networks, monkeypatch) -> bytes:
    for name in ('dnnlib.tflib', 'dnnlib.tflib.network'):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules['dnnlib.tflib.network'].Network = Network
    return pickle.dumps(networks, protocol=3)


def generator(G, **static) -> Network:
    """A generator of ours as TensorFlow stores it, layer by layer."""
    mapping, synthesis = [], []
    values = {name: tensor.numpy() for name, tensor in G.state_dict().items()}
    for index in range(G.mapping.num_layers):
        mapping += dense(f'Dense{index}', values, f'mapping.fc{index}')
    if G.c_dim:
        mapping += dense('LabelEmbed', values, 'mapping.embed')
    noise = 0
    for resolution in G.synthesis.block_resolutions:
        block = f'synthesis.b{resolution}'
        layers = {'Conv0_up': 'conv0', 'Conv1': 'conv1'} if resolution > 4 else {'Conv': 'conv1'}
        if resolution == 4:
            synthesis.append(('4x4/Const/const', values[f'{block}.const'][None]))
        for theirs, ours in {**layers, 'ToRGB': 'torgb', 'Skip': 'skip'}.items():
            if f'{block}.{ours}.weight' not in values:
                continue
            scope, ours = f'{resolution}x{resolution}/{theirs}', f'{block}.{ours}'
            weight = values[f'{ours}.weight'].transpose(2, 3, 1, 0)
            synthesis.append((f'{scope}/weight', weight[::-1, ::-1] if theirs == 'Conv0_up' else weight))
            if f'{ours}.affine.weight' in values:
                synthesis.append((f'{scope}/mod_weight', values[f'{ours}.affine.weight'].T))
                synthesis.append((f'{scope}/mod_bias', values[f'{ours}.affine.bias'] - 1))
                synthesis.append((f'{scope}/bias', values[f'{ours}.bias']))
            if f'{ours}.noise_strength' in values:
                synthesis.append((f'{scope}/noise_strength', np.float32(values[f'{ours}.noise_strength'])))
                synthesis.append((f'noise{noise}', values[f'{ours}.noise_const'][None, None]))
                noise += 1
    own = [('lod', np.float32(0)), ('dlatent_avg', values['mapping.w_avg'])]
    shared = dict(num_channels=G.img_channels, resolution=G.img_resolution, label_size=G.c_dim,
                  latent_size=G.z_dim, dlatent_size=G.w_dim, mapping_fmaps=G.w_dim, **static)
    parts = dict(mapping=Network('G_mapping', dict(dlatent_broadcast=G.num_ws), mapping),
                 synthesis=Network('G_synthesis', dict(shared), synthesis))
    return Network('G', dict(shared, mapping_layers=G.mapping.num_layers, mapping_lrmul=.01), own, parts)


def discriminator(D, **static) -> Network:
    values = {name: tensor.numpy() for name, tensor in D.state_dict().items()}
    variables = [('lod', np.float32(0))]
    variables += dense('Output', values, 'b4.out') + dense('4x4/Dense0', values, 'b4.fc')
    for name in values:
        if name.startswith('mapping.fc') and name.endswith('weight'):
            index = name.removeprefix('mapping.fc').removesuffix('.weight')
            variables += dense(f'Mapping{index}', values, f'mapping.fc{index}')
    if D.c_dim:
        variables += dense('LabelEmbed', values, 'mapping.embed')
    for resolution in [4, *D.block_resolutions]:
        for theirs, ours in dict(FromRGB='fromrgb', Conv0='conv0', Conv1_down='conv1', Skip='skip',
                                 Conv='conv').items():
            for kind in ('weight', 'bias'):
                value = values.get(f'b{resolution}.{ours}.{kind}')
                if value is not None:
                    value = value.transpose(2, 3, 1, 0) if kind == 'weight' else value
                    variables.append((f'{resolution}x{resolution}/{theirs}/{kind}', value))
    kwargs = dict(num_channels=D.img_channels, resolution=D.img_resolution, label_size=D.c_dim, **static)
    if D.c_dim:
        kwargs.update(mapping_layers=D.mapping.num_layers, mapping_fmaps=D.mapping.w_dim, mapping_lrmul=.01)
    return Network('D', kwargs, variables)


def dense(scope, values, ours):
    return [(f'{scope}/weight', values[f'{ours}.weight'].T), (f'{scope}/bias', values[f'{ours}.bias'])]
