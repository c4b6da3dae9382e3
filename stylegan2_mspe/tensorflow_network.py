"""StyleGAN2's TensorFlow networks as they lie in a pickle: their variables, and how these map to ours.

A TensorFlow pickle is a tuple (G, D, Gs) of networks; each records its name, static arguments, source text
(not looked at), components and variables. Weights are [kh, kw, in, out] and [in, out]; those of upsampling
layers are turned by half a turn; styles are stored without the 1 that is added to them.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from stylegan2_mspe import kwargs_from_shapes
from stylegan2_mspe.network_file import Description, plain
from stylegan2_mspe.safe_pickle import Record, Refused

CLASS = ('dnnlib.tflib.network', 'Network')     # what the pickle calls a network
MAX_VARIABLES = 10_000
MAX_NETWORKS = 16       # a network and its components

# (variable, with <r> for a resolution) → (parameter, how).
_LAYER = {'weight': 'weight', 'bias': 'bias', 'mod_weight': 'affine.weight', 'mod_bias': 'affine.bias',
          'noise_strength': 'noise_strength'}
_G_LAYERS = {'Conv': 'conv1', 'Conv0_up': 'conv0', 'Conv1': 'conv1', 'ToRGB': 'torgb', 'Skip': 'skip'}
_D_LAYERS = {'FromRGB': 'fromrgb', 'Conv0': 'conv0', 'Conv1_down': 'conv1', 'Skip': 'skip', 'Conv': 'conv',
             'Dense0': 'fc'}
IGNORED = {'lod', 'dlatent_avg', 'pl_mean', 'dlatent_avg_beta'}     # none of them a weight of a layer

# Static arguments that shapes do not show, and what they are called here; others concern training and speed.
_SHARED = dict(num_fp16_res='num_fp16_res', conv_clamp='conv_clamp', resample_kernel='resample_filter')
_FIXED = dict(nonlinearity='lrelu', mapping_nonlinearity='lrelu', normalize_latents=True, use_wscale=True,
              fused_modconv=None)


def describe(networks: tuple) -> dict[str, Description]:
    """G, D and G_ema of the tuple that a TensorFlow pickle holds. Raises Refused."""
    if len(networks) != 3 or not all(isinstance(network, Record) for network in networks):
        raise Refused('holds a tuple, but not the three networks of a TensorFlow pickle')
    G, D, G_ema = networks
    return dict(G=_generator(G), D=_discriminator(D), G_ema=_generator(G_ema))


def _generator(record: Record) -> Description:
    kwargs, variables = _read(record)
    tensors = dict(each for name, value in variables.items() for each in _generator_tensor(name, value))
    if 'dlatent_avg' in variables:
        tensors['mapping.w_avg'] = _tensor('dlatent_avg', variables['dlatent_avg'])
    found = kwargs_from_shapes.generator_kwargs(tensors)
    found['synthesis_kwargs'].update(_renamed(kwargs, _SHARED))
    found['mapping_kwargs'].update(_renamed(kwargs, dict(mapping_lrmul='lr_multiplier',
                                                         dlatent_avg_beta='w_avg_beta')))
    return Description('Generator', (), found, tensors)


def _discriminator(record: Record) -> Description:
    kwargs, variables = _read(record)
    tensors = dict(each for name, value in variables.items() for each in _discriminator_tensor(name, value))
    found = kwargs_from_shapes.discriminator_kwargs(tensors)
    found.update(_renamed(kwargs, _SHARED))
    if 'resample_filter' in found:
        found['block_kwargs'] = dict(resample_filter=found.pop('resample_filter'))
    found['epilogue_kwargs'].update(_renamed(kwargs, dict(mbstd_group_size='mbstd_group_size')))
    if found['c_dim']:
        found['mapping_kwargs'].update(_renamed(kwargs, dict(mapping_lrmul='lr_multiplier')))
    return Description('Discriminator', (), found, tensors)


def _renamed(kwargs: dict, names: dict[str, str]) -> dict:
    return {ours: kwargs[theirs] for theirs, ours in names.items() if theirs in kwargs}


def _read(record: Record) -> tuple[dict, dict[str, Any]]:
    """Static arguments and variables of a network and its components (mapping/…, synthesis/…)."""
    variables, kwargs, steps = {}, {}, 0
    waiting = [('', record)]
    while waiting:
        prefix, part = waiting.pop()
        steps += 1
        state = part.state if isinstance(part, Record) and isinstance(part.state, dict) else {}
        static, own, parts = (state.get(name) for name in ('static_kwargs', 'variables', 'components'))
        if not isinstance(static, dict) or not isinstance(own, list) or steps > MAX_NETWORKS:
            raise Refused('holds a TensorFlow network in an unknown form')
        kwargs = {**plain(static), **kwargs}
        for pair in own:
            if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
                raise Refused('holds a variable of a TensorFlow network in an unknown form')
            variables[prefix + pair[0]] = pair[1]
        if len(variables) > MAX_VARIABLES:
            raise Refused('holds more variables than a TensorFlow network has')
        waiting += [(f'{prefix}{name}/', child) for name, child in (parts or {}).items()][:MAX_NETWORKS]
    for name, expected in _FIXED.items():
        if expected is not None and kwargs.get(name, expected) != expected:
            raise Refused(f'holds a TensorFlow network with {name} = {str(kwargs[name])[:40]!r}, '
                          f'where only {expected!r} is supported')
    return kwargs, variables


def _generator_tensor(name: str, value: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameter or buffer of ours that a variable is, if it is one."""
    if match := re.fullmatch(r'mapping/(?:Dense(\d{1,4})|LabelEmbed)/(weight|bias)', name):
        layer = 'embed' if match[1] is None else f'fc{match[1]}'
        yield f'mapping.{layer}.{match[2]}', _matrix(name, value)
    elif match := re.fullmatch(r'synthesis/noise(\d{1,2})', name):
        index = int(match[1])
        yield (f'synthesis.b{2 ** ((index + 1) // 2 + 2)}.conv{1 - index % 2}.noise_const',
               _tensor(name, value).squeeze((0, 1)))
    elif name == 'synthesis/4x4/Const/const':
        yield 'synthesis.b4.const', _tensor(name, value).squeeze(0)
    elif (match := re.fullmatch(r'synthesis/(\d{1,5})x\1/(\w+)/(\w+)', name)) and (
            match[2] in _G_LAYERS and match[3] in _LAYER):
        ours = f'synthesis.b{match[1]}.{_G_LAYERS[match[2]]}.{_LAYER[match[3]]}'
        turned = match[2] in ('Conv0_up', 'Skip')
        yield ours, _matrix(name, value, turned) + (1 if match[3] == 'mod_bias' else 0)
    elif name.rpartition('/')[2] not in IGNORED:
        raise Refused(f'has a variable {name[:80]!r} that TensorFlow networks of StyleGAN2-ADA do not have')


def _discriminator_tensor(name: str, value: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if match := re.fullmatch(r'(Output|LabelEmbed|Mapping\d{1,4})/(weight|bias)', name):
        layer = {'Output': 'b4.out', 'LabelEmbed': 'mapping.embed'}.get(match[1])
        yield f'{layer or match[1].replace("Mapping", "mapping.fc")}.{match[2]}', _matrix(name, value)
    elif (match := re.fullmatch(r'(\d{1,5})x\1/(\w+)/(weight|bias)', name)) and match[2] in _D_LAYERS:
        yield f'b{match[1]}.{_D_LAYERS[match[2]]}.{match[3]}', _matrix(name, value)
    elif name not in IGNORED:
        raise Refused(f'has a variable {name[:80]!r} that TensorFlow networks of StyleGAN2-ADA do not have')


def _tensor(name: str, value: Any) -> torch.Tensor:
    if not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind != 'f':
        raise Refused(f'has a {type(value).__name__} as the variable {name[:80]!r}, expected numbers')
    return torch.from_numpy(np.array(value, dtype=np.float32))


def _matrix(name: str, value: Any, turned: bool = False) -> torch.Tensor:
    """[kh, kw, in, out] → [out, in, kh, kw], [in, out] → [out, in]; vectors and scalars as they are."""
    tensor = _tensor(name, value)
    if tensor.ndim == 4:
        tensor = tensor.permute(3, 2, 0, 1)
        return tensor.flip(2, 3) if turned else tensor.contiguous()
    return tensor.t().contiguous() if tensor.ndim == 2 else tensor
