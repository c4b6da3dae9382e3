"""Network pickles: reads them without running code from them, writes them as StyleGAN2-ADA-PyTorch does.

A pickle holds a dictionary: training_set_kwargs, G, D, G_ema, augment_pipe. Of each network it records the
class name, the constructor's arguments, the parameters and buffers, and the text of the module that defined
it. The text is never looked at: the class name selects one of our classes, which is built from the recorded
arguments and filled by name. A TensorFlow pickle holds a tuple of three networks and is read alike.
"""

import copy
import dataclasses
import inspect
import os
import pickle
from typing import IO, Any

import torch

from stylegan2_mspe import (
    network_file,
    networks,
    rebuild,
    safe_pickle,
    safetensors_file,
    tensorflow_network,
)
from stylegan2_mspe.files import atomic_write
from stylegan2_mspe.network_file import Description, NetworkFileError
from stylegan2_mspe.rebuild import KINDS
from stylegan2_mspe.safe_pickle import Call, Fill, Record, Refused

# What a file may record besides networks: their parts, which the network's own constructor makes.
PARTS = {'MappingNetwork', 'SynthesisNetwork', 'SynthesisBlock', 'SynthesisLayer', 'ToRGBLayer',
         'FullyConnectedLayer', 'Conv2dLayer', 'DiscriminatorBlock', 'MinibatchStdLayer',
         'DiscriminatorEpilogue'}
RECONSTRUCT = ('torch_utils.persistence', '_reconstruct_persistent_obj')  # how files call our _record
HALF = dict(num_fp16_res=4, conv_clamp=256)     # what force_fp16 changes


def load_network_pkl(f: str | os.PathLike | IO[bytes], force_fp16: bool = False) -> dict[str, Any]:
    """Reads a network pickle from a path, a URL or an open binary file.

    Returns its dictionary with G, D and G_ema as modules of ours (or None where there is none) in eval mode,
    on the CPU, without gradients; networks that are one object in the file are one object here. augment_pipe
    is None or an AugmentPipe. force_fp16 rebuilds the networks with half precision at the four finest levels.
    Nothing in the file is executed. Raises NetworkFileError (a ValueError) in one sentence, OSError where the
    file can't be read.
    """
    name, data = network_file.read(f)
    if data[:4] == b'PK\x03\x04':
        raise NetworkFileError(f'{name} is not a network pickle but a zip, as are a training-state-*.pt, '
                               'from which train.py --resume=latest goes on, and the .pt of tools/convert.py')
    if safetensors_file.looks_like_one(data):
        raise NetworkFileError(f"{name} is not a network pickle but a safetensors file: tools/convert.py "
                               "makes one of a GAN's networks, tools/sample_ddpm.py draws from a diffusion "
                               "model")
    if data and data[:1] != pickle.PROTO:
        raise NetworkFileError(f'{name} is not a network file: found {data[:16]!r} at its beginning, '
                               'expected a pickle')
    with network_file.sentences(name):
        return _restore(_content(data), force_fp16)


def save_network_pkl(path: str | os.PathLike, *, G: torch.nn.Module | None, D: torch.nn.Module | None,
                     G_ema: torch.nn.Module, training_set_kwargs: dict | None,
                     augment_pipe: torch.nn.Module | None = None) -> None:
    """Writes copies of the networks, as a pickle that StyleGAN2-ADA-PyTorch opens.

    They are in eval mode, on the CPU and without gradients; those with the same weights are written once. The
    file appears when it is complete. Raises OSError.
    """
    content = dict(training_set_kwargs=dict(training_set_kwargs) if training_set_kwargs else None)
    for key, module in dict(G=G, D=D, G_ema=G_ema, augment_pipe=augment_pipe).items():
        twins = (done for done in content.values() if module is not None and _equal(done, module))
        content[key] = next(twins, None) or _snapshot(module)
    with atomic_write(path) as file:
        pickle.dump(content, file)


# ----- reading ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Recorded:
    """A network, or a part of one, as a pickle describes it."""
    class_name: str
    state: dict     # the module's __dict__: _parameters, _buffers, _modules, _init_args, _init_kwargs …


def _content(data: bytes) -> dict[str, Any]:
    """What the pickle says: descriptions of networks, and the arguments of its dataset."""
    content = safe_pickle.load(data, {RECONSTRUCT: Call(_record), tensorflow_network.CLASS: Fill(Record)})
    if isinstance(content, tuple):
        return tensorflow_network.describe(content)
    if not isinstance(content, dict):
        raise Refused(f'holds a {type(content).__name__}, expected the dictionary of a network file')
    described = dict(training_set_kwargs=content.get('training_set_kwargs'))
    once = {}
    for key, kind in KINDS.items():
        found = content.get(key)
        if found is not None and not isinstance(found, Recorded):
            raise Refused(f'has a {type(found).__name__} as {key}, expected a {kind}')
        if found is not None and id(found) not in once:
            once[id(found)] = _describe(found)
        described[key] = once.get(id(found))
    return described


def _record(meta) -> Recorded:
    """Stands for torch_utils.persistence._reconstruct_persistent_obj; meta['module_src'] stays unread."""
    if not isinstance(meta, dict) or meta.get('type') != 'class' or not isinstance(meta.get('state'), dict):
        raise Refused('records an object in an unknown form')
    name = meta.get('class_name')
    if not isinstance(name, str) or (name not in KINDS.values() and name not in PARTS):
        raise Refused(f'asks for the class {str(name)[:80]!r}, which is not a network of StyleGAN2-ADA')
    return Recorded(name, meta['state'])


def _describe(recorded: Recorded) -> Description:
    state = recorded.state
    return Description(recorded.class_name, state.get('_init_args', ()), state.get('_init_kwargs', {}),
                       _tensors(recorded))


def _tensors(recorded: Recorded) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, those of the parts included."""
    found, steps = {}, 0
    waiting = [('', recorded)]
    while waiting:
        prefix, part = waiting.pop()
        steps += 1
        if steps > network_file.MAX_PARTS or len(prefix) > 1000:
            raise Refused('nests its parts without end')
        for kind in ('_parameters', '_buffers'):
            found.update((f'{prefix}{name}', value) for name, value in part.state.get(kind, {}).items()
                         if isinstance(value, torch.Tensor))
        for name, child in part.state.get('_modules', {}).items():
            if isinstance(child, Recorded):
                waiting.append((f'{prefix}{name}.', child))
    return found


def _restore(content: dict[str, Any], force_fp16: bool) -> dict[str, Any]:
    found = {key: value for key, value in content.items() if key in KINDS}
    if force_fp16:
        halved = {id(value): _halved(value) for value in found.values() if value is not None}
        found = {key: halved.get(id(value)) for key, value in found.items()}
    return rebuild.build_all(found, content.get('training_set_kwargs'))


def _halved(description: Description) -> Description:
    """The same network with half precision at its four finest levels."""
    kwargs = dict(network_file.plain(description.kwargs))
    if description.class_name == 'Generator':
        kwargs['synthesis_kwargs'] = {**kwargs.get('synthesis_kwargs', {}), **HALF}
    elif description.class_name == 'Discriminator':
        kwargs.update(HALF)
    return dataclasses.replace(description, kwargs=kwargs)


# ----- writing ----------------------------------------------------------------------------------------------


def _snapshot(module: torch.nn.Module | None) -> torch.nn.Module | None:
    if module is None:
        return None
    module = copy.deepcopy(module).eval().requires_grad_(False).cpu()
    networks.set_precision(module, None)  # how a run computed is not a property of the network
    module._init_args, module._init_kwargs = (), _named_arguments(module)
    for tensor in [*module.parameters(), *module.buffers()]:
        tensor.grad = None
        if tensor.untyped_storage().nbytes() > tensor.nbytes:  # a view would take its base into the file
            tensor.data = tensor.data.clone()
    return module


def _named_arguments(module: torch.nn.Module) -> dict:
    """Every constructor argument by its name: tools that rebuild a network look at init_kwargs only."""
    original = type(module).__mro__[1]          # the class that persistent_class decorated
    return dict(inspect.signature(original).bind(*module.init_args, **module.init_kwargs).arguments)


def _equal(first: Any, second: torch.nn.Module) -> bool:
    if type(first) is not type(second) or first.init_kwargs != _named_arguments(second):
        return False
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(one.shape == other.shape and torch.equal(one, other.cpu()) for one, other in pairs)
