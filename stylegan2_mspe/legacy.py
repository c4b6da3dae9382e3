"""Network pickles: reads them without running code from them, writes them as StyleGAN2-ADA-PyTorch does.

A pickle holds a dictionary: training_set_kwargs, G, D, G_ema, augment_pipe. Of each network it records the
class name, the constructor's arguments, the parameters and buffers, and the text of the module that defined
it. The text is never looked at: the class name selects one of our classes, which is built from the recorded
arguments and filled by name.
"""

import copy
import dataclasses
import numbers
import os
import pickle
from typing import IO, Any

import numpy as np
import torch
import torch.overrides

import dnnlib
from dnnlib import EasyDict
from stylegan2_mspe import dataset, networks, safe_pickle
from stylegan2_mspe.files import atomic_write
from stylegan2_mspe.safe_pickle import Call, Refused

# What is built, by the class name recorded in the file, and where it may stand.
CLASSES = {'Generator': networks.Generator, 'Discriminator': networks.Discriminator}
KINDS = {'G': 'Generator', 'D': 'Discriminator', 'G_ema': 'Generator', 'augment_pipe': 'AugmentPipe'}
# What a file may record besides: parts, which the network's own constructor makes, and the augmentation, which
# has no trained parameters.
PARTS = {'MappingNetwork', 'SynthesisNetwork', 'SynthesisBlock', 'SynthesisLayer', 'ToRGBLayer',
         'FullyConnectedLayer', 'Conv2dLayer', 'DiscriminatorBlock', 'MinibatchStdLayer',
         'DiscriminatorEpilogue', 'AugmentPipe'}
RECONSTRUCT = ('torch_utils.persistence', '_reconstruct_persistent_obj')  # how files call our _record

MAX_LAYERS = 1000       # of a mapping network
MAX_NUMBER = 2 ** 31    # among a constructor's arguments
MAX_PARTS = 100_000     # tensors or arguments of one network


class NetworkFileError(ValueError):
    """A file is no network, is damaged or asks for more than a network needs; the message is a sentence."""


def load_network_pkl(source: str | os.PathLike | IO[bytes]) -> dict[str, Any]:
    """Reads a network pickle from a path, a URL or an open binary file.

    Returns its dictionary with G, D and G_ema as modules of ours (or None where there is none) in eval mode,
    on the CPU, without gradients; networks that are one object in the file are one object here. Nothing in
    the file is executed. Raises NetworkFileError (a ValueError) in one sentence, OSError where the file can't
    be read.
    """
    name, data = _read(source)
    try:
        content = safe_pickle.load(data, {RECONSTRUCT: Call(_record)})
        if not isinstance(content, dict):
            raise Refused(f'holds a {type(content).__name__}, expected the dictionary of a network file')
        if content.get('G_ema') is None:
            raise Refused('holds no G_ema, the generator that every network file has')
        return _restore(content)
    except Refused as error:
        prefix = name if data[:1] == pickle.PROTO else f'{name} is not a network file: read as a pickle, it'
        raise NetworkFileError(f'{prefix} {error}') from error
    except EOFError as error:
        raise NetworkFileError(f'{name} ends too early, after {len(data)} bytes of a network') from error
    except Exception as error:  # a damaged pickle makes the reader stumble over anything
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        damaged = f'{name} is not a network file or is damaged ({reason}); expected a network-snapshot-*.pkl'
        raise NetworkFileError(damaged) from error


def save_network_pkl(path: str | os.PathLike, *, G: torch.nn.Module, D: torch.nn.Module | None,
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
    """A network, or a part of one, as a file describes it."""
    class_name: str
    state: dict     # the module's __dict__: _parameters, _buffers, _modules, _init_args, _init_kwargs …


def _read(source) -> tuple[str, bytes]:
    """The name to use in sentences, and the whole content."""
    if hasattr(source, 'read'):
        return str(getattr(source, 'name', 'the network file')), source.read()
    name = os.fspath(source)
    if dnnlib.util.is_url(name, allow_file_urls=True):
        with dnnlib.util.open_url(name, verbose=False) as file:
            return name, file.read()
    if os.path.isdir(name):
        raise NetworkFileError(f'{name} is a folder, expected a network file such as network-snapshot-*.pkl')
    with open(name, 'rb') as file:
        return name, file.read()


def _record(meta) -> Recorded:
    """Stands for torch_utils.persistence._reconstruct_persistent_obj; meta['module_src'] stays unread."""
    if not isinstance(meta, dict) or meta.get('type') != 'class' or not isinstance(meta.get('state'), dict):
        raise Refused('records an object in an unknown form')
    name = meta.get('class_name')
    if not isinstance(name, str) or (name not in CLASSES and name not in PARTS):
        raise Refused(f'asks for the class {str(name)[:80]!r}, which is not a network of StyleGAN2-ADA')
    return Recorded(name, meta['state'])


def _restore(content: dict) -> dict[str, Any]:
    """The networks of the file, each record built once, and the arguments of its dataset."""
    result, built = dict(training_set_kwargs=_dataset_kwargs(content.get('training_set_kwargs'))), {}
    for key, kind in KINDS.items():
        found = content.get(key)
        name = found.class_name if isinstance(found, Recorded) else type(found).__name__
        if found is not None and name != kind:
            raise Refused(f'has a {name} as {key}, expected a {kind}')
        if found is not None and id(found) not in built:
            built[id(found)] = _build(key, found) if kind in CLASSES else None
        result[key] = built.get(id(found))
    return result


def _dataset_kwargs(kwargs: Any) -> dict | None:
    """Plain arguments for `dataset.construct_dataset`, whose class name is in its table, or None."""
    kwargs = _plain(kwargs)
    if not kwargs:
        return None
    found = kwargs.get('class_name') if isinstance(kwargs, dict) else kwargs
    if found not in dataset.CLASSES:
        known = ', '.join(dataset.CLASSES)
        raise Refused(f'names the dataset class {str(found)[:80]!r}, expected one of {known}')
    return kwargs


class _Shapes(torch.overrides.TorchFunctionMode):
    """While it is on, new tensors have a shape and no memory, however large a file says they are.

    A narrower torch.device('meta'): small constants, such as filters, are computed as usual.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        # For randn and for a division torch would import its compiler, which takes a second.
        if func in (torch.randn, torch.zeros, torch.full, torch.empty):
            return torch.empty(*args[:1], dtype=(kwargs or {}).get('dtype'), device='meta')
        if func in (torch.Tensor.div, torch.Tensor.__truediv__) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def _build(key: str, recorded: Recorded) -> torch.nn.Module:
    """Our class for the record, constructed without memory of its own and filled with the file's tensors."""
    args = _plain(recorded.state.get('_init_args', ()))
    kwargs = _plain(recorded.state.get('_init_kwargs', {}))
    _check_layers(kwargs)
    try:
        with _Shapes():
            module = CLASSES[recorded.class_name](*args, **kwargs)
    except Exception as error:
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise Refused(f'holds a {recorded.class_name} of another kind ({reason})') from error
    _fill(module, _tensors(recorded), key)
    return module.eval().requires_grad_(False)


def _tensors(recorded: Recorded) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, those of the parts included."""
    found, steps = {}, 0
    waiting = [('', recorded)]
    while waiting:
        prefix, part = waiting.pop()
        steps += 1
        if steps > MAX_PARTS or len(prefix) > 1000:
            raise Refused('nests its parts without end')
        for kind in ('_parameters', '_buffers'):
            found.update((f'{prefix}{name}', value) for name, value in part.state.get(kind, {}).items()
                         if isinstance(value, torch.Tensor))
        for name, child in part.state.get('_modules', {}).items():
            if isinstance(child, Recorded):
                waiting.append((f'{prefix}{name}.', child))
    return found


def _fill(module: torch.nn.Module, tensors: dict[str, torch.Tensor], key: str) -> None:
    """Gives every parameter and buffer the tensor of its name; names and shapes have to agree."""
    expected = dict([*module.named_parameters(), *module.named_buffers()])
    for name in sorted(expected.keys() ^ tensors.keys()):
        state = 'lacks' if name in expected else 'has an unknown'
        raise Refused(f'{state} parameter {key}.{name} ({len(tensors)} found, {len(expected)} expected)')
    for name, target in expected.items():
        if tensors[name].shape != target.shape:
            found = list(tensors[name].shape)
            raise Refused(f'has {key}.{name} of shape {found}, expected {list(target.shape)}')
        owner, _, leaf = name.rpartition('.')
        owner = module.get_submodule(owner)
        value = tensors[name].to(target.dtype, copy=True)
        if leaf in owner._parameters:
            owner._parameters[leaf] = torch.nn.Parameter(value)
        else:
            owner._buffers[leaf] = value


def _plain(value: Any) -> Any:
    """A copy made of numbers, texts, lists, tuples and dictionaries; anything else is refused."""
    budget = iter(range(MAX_PARTS))

    def copied(value, depth):
        if next(budget, None) is None or depth > 20:
            raise Refused('nests its arguments without end')
        if isinstance(value, (str, bytes, bool, type(None), torch.dtype)):
            return value
        if isinstance(value, (numbers.Real, np.bool_)):
            number = value.item() if isinstance(value, np.generic) else value
            if abs(number) > MAX_NUMBER:
                raise Refused(f'has {str(number)[:40]} among its arguments, expected at most {MAX_NUMBER}')
            return number
        if isinstance(value, np.ndarray):
            return copied(value.tolist(), depth + 1)
        if isinstance(value, (list, tuple)):
            return type(value)(copied(item, depth + 1) for item in value)
        if isinstance(value, dict):
            return EasyDict({key: copied(item, depth + 1) for key, item in value.items()})
        raise Refused(f'has a {type(value).__name__} among its arguments, expected numbers and texts')
    return copied(value, 0)


def _check_layers(kwargs: dict) -> None:
    """The one count that costs time before any tensor is compared."""
    for options in (kwargs, kwargs.get('mapping_kwargs')):
        count = options.get('num_layers', 0) if isinstance(options, dict) else 0
        if not isinstance(count, int) or count > MAX_LAYERS:
            raise Refused(f'has a mapping network of {count!r} layers, expected at most {MAX_LAYERS}')


# ----- writing ----------------------------------------------------------------------------------------------


def _snapshot(module: torch.nn.Module | None) -> torch.nn.Module | None:
    if module is None:
        return None
    module = copy.deepcopy(module).eval().requires_grad_(False).cpu()
    networks.set_precision(module, None)  # how a run computed is not a property of the network
    for tensor in [*module.parameters(), *module.buffers()]:
        tensor.grad = None
        if tensor.untyped_storage().nbytes() > tensor.nbytes:  # a view would take its base into the file
            tensor.data = tensor.data.clone()
    return module


def _equal(first: Any, second: torch.nn.Module) -> bool:
    if type(first) is not type(second) or first.init_kwargs != second.init_kwargs:
        return False
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(one.shape == other.shape and torch.equal(one, other.cpu()) for one, other in pairs)
