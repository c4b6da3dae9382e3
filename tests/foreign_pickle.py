"""Network pickles as StyleGAN2-ADA-PyTorch leaves them, made by hand without modules of ours.

Of ours is only the name under which such files call their reader, torch_utils.persistence.
"""

import collections
import pickle
import re

import numpy as np
import torch

from torch_utils import persistence

SOURCE = 'raise SystemExit("the source text of a network file was executed")\n'

# Which class a part is of, by its name.
G_PARTS = {'': 'Generator', 'mapping': 'MappingNetwork', 'synthesis': 'SynthesisNetwork',
           r'synthesis\.b\d+': 'SynthesisBlock', r'.*\.conv[01]': 'SynthesisLayer',
           r'.*\.torgb': 'ToRGBLayer', r'.*\.skip': 'Conv2dLayer',
           r'.*\.(affine|fc\d+|embed)': 'FullyConnectedLayer'}
D_PARTS = {'': 'Discriminator', 'mapping': 'MappingNetwork', 'b4': 'DiscriminatorEpilogue',
           r'b\d+': 'DiscriminatorBlock', r'b4\.(fc|out)|mapping\..*': 'FullyConnectedLayer',
           r'b4\.mbstd': 'MinibatchStdLayer', r'.*': 'Conv2dLayer'}
BUFFERS = ('w_avg', 'noise_const', 'resample_filter')
STORAGES = {torch.float32: 'FloatStorage', torch.float16: 'HalfStorage', torch.float64: 'DoubleStorage'}


class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def network(kwargs, tensors, parts, *, args=(), location='cpu', source=SOURCE, frozen=()):
    """A network with these constructor arguments and these tensors by name."""
    return _part('', tensors, parts, location, source, frozen, _init_args=args, _init_kwargs=kwargs)


def _part(path, tensors, parts, location, source, frozen, **more):
    prefix = f'{path}.' if path else ''
    inside = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    own = {name: value for name, value in inside.items() if '.' not in name}
    state = collections.OrderedDict(training=False, _backward_hooks=collections.OrderedDict(),
                                    _non_persistent_buffers_set=set())
    state['_parameters'], state['_buffers'] = collections.OrderedDict(bias=None), collections.OrderedDict()
    for name, value in own.items():
        if name in BUFFERS or prefix + name in frozen:
            state['_buffers'][name] = _tensor(value, location)
        else:
            tensor, hooks = _tensor(value, location), collections.OrderedDict()
            state['_parameters'][name] = Calls(torch._utils._rebuild_parameter, tensor, False, hooks)
    children = dict.fromkeys(name.split('.')[0] for name in inside if '.' in name)
    state['_modules'] = collections.OrderedDict(
        (name, _part(prefix + name, tensors, parts, location, source, frozen, _init_args=(), _init_kwargs={}))
        for name in children)
    state.update(more)
    kind = next(kind for pattern, kind in parts.items() if re.fullmatch(pattern, path))
    meta = dict(type='class', version=6, module_src=source, class_name=kind, state=state)
    return Calls(persistence._reconstruct_persistent_obj, meta)


def _tensor(value, location):
    value = torch.as_tensor(value).contiguous()
    storage = Calls(torch.storage._load_from_bytes, storage_bytes(value, location))
    place = 0, tuple(value.shape), tuple(value.stride())
    return Calls(torch._utils._rebuild_tensor_v2, storage, *place, False, collections.OrderedDict())


def storage_bytes(value, location='cpu', key='94676045268784') -> bytes:
    """A storage as torch 1.7 saves it: magic number, version, system, description, keys, count, numbers."""
    def text(string):
        return b'X' + len(string).to_bytes(4, 'little') + string.encode()

    count = value.numel().to_bytes(8, 'little')
    kind = b'ctorch\n' + STORAGES[value.dtype].encode() + b'\n'
    description = b''.join([b'\x80\x02(', text('storage'), kind, text(key), text(location),
                            b'J', count[:4], b'Ntq\x00Q.'])
    head = [pickle.dumps(part, 2) for part in (0x1950a86a20f9469cfc6c, 1001, dict(little_endian=True))]
    return b''.join([*head, description, pickle.dumps([key], 2), count, value.numpy().tobytes()])


def dumps(content, protocol=4) -> bytes:
    return pickle.dumps(content, protocol)


def with_numpy_1_names(data: bytes) -> bytes:
    """The same pickle, of protocol 3, as numpy 1 would have written it."""
    assert b'cnumpy._core.' in data or not np.__version__.startswith('2')
    return data.replace(b'cnumpy._core.', b'cnumpy.core.')
