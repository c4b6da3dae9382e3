"""Networks rebuilt from what a file says of them: a class name, constructor arguments and tensors by name.

The class name selects one of our classes, the arguments are plain values of the expected types, and nothing
is allocated that the file does not contain.
"""

import contextlib
import dataclasses
import importlib
import numbers
import os
import warnings
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import torch
import torch.overrides

import dnnlib
from dnnlib import EasyDict
from stylegan2_mspe import dataset, networks
from stylegan2_mspe.safe_pickle import Refused

# Where a network stands in a file, and the class it has to be of.
KINDS = {'G': 'Generator', 'D': 'Discriminator', 'G_ema': 'Generator', 'augment_pipe': 'AugmentPipe'}
CLASSES = {'Generator': networks.Generator, 'Discriminator': networks.Discriminator}
AUGMENT = 'stylegan2_mspe.augment'      # the module of AugmentPipe, imported only for a file that has one

MAX_LAYERS = 1000       # of a mapping network
MAX_NUMBER = 2 ** 31    # among a constructor's arguments
MAX_PARTS = 100_000     # tensors or arguments of one network

_COUNT, _REAL, _OPTION, _MAYBE = (int,), (int, float), (int, type(None)), (int, float, type(None))
_FILTER = (list, tuple, type(None))
# Constructors keep most of these for the time a picture is drawn: a wrong type has to be found before.
TYPES = dict(
    z_dim=_COUNT, c_dim=_COUNT, w_dim=_COUNT, img_resolution=_COUNT, img_channels=_COUNT, num_layers=_COUNT,
    embed_features=_OPTION, layer_features=_OPTION, lr_multiplier=_REAL, w_avg_beta=_MAYBE,
    channel_base=_COUNT, channel_max=_COUNT, num_fp16_res=_COUNT, conv_clamp=_MAYBE, cmap_dim=_OPTION,
    fp16_channels_last=_COUNT, use_noise=_COUNT, kernel_size=_COUNT, activation=(str,), architecture=(str,),
    resample_filter=_FILTER, freeze_layers=_COUNT, mbstd_group_size=_OPTION, mbstd_num_channels=_COUNT,
    pe=(str,), pe_kwargs=(dict,), base=_REAL, rows_first=_COUNT, mapping_kwargs=(dict,),
    synthesis_kwargs=(dict,), block_kwargs=(dict,), epilogue_kwargs=(dict,))


class NetworkFileError(ValueError):
    """A file is no network, is damaged or asks for more than a network needs; the message is a sentence."""


def read(source: str | os.PathLike | IO[bytes]) -> tuple[str, bytes]:
    """The whole content of a path, a URL or an open binary file, and the name to use in sentences."""
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


@contextlib.contextmanager
def sentences(name: str, speaker: str | None = None) -> Iterator[None]:
    """Turns whatever reading the file `name` raises into a sentence; `speaker` begins some."""
    try:
        yield
    except Refused as error:
        raise NetworkFileError(f'{speaker or name} {error}') from error
    except EOFError as error:
        raise NetworkFileError(f'{name} ends too early to be a network file') from error
    except Exception as error:  # a damaged file makes its reader stumble over anything
        raise NetworkFileError(f'{name} is not a network file or is damaged ({reason(error)})') from error


def reason(error: Exception) -> str:
    """What an exception says, as one short line."""
    text = ' '.join(str(error).split())[:200] or type(error).__name__
    return f'unexpected {text}' if isinstance(error, KeyError) else text


@dataclasses.dataclass(frozen=True, eq=False)
class Description:
    """A network as a file describes it."""
    class_name: str
    args: tuple | list
    kwargs: dict
    tensors: dict[str, torch.Tensor]


def build_all(found: dict[str, Description | None], training_set_kwargs: Any) -> dict[str, Any]:
    """The dictionary of a network file; a description that is twice there is built once. Raises Refused."""
    if found.get('G_ema') is None:
        raise Refused('holds no G_ema, the generator that every network file has')
    result, built = dict(training_set_kwargs=dataset_kwargs(training_set_kwargs)), {}
    for key, kind in KINDS.items():
        description = found.get(key)
        if description is not None and description.class_name != kind:
            raise Refused(f'has a {description.class_name} as {key}, expected a {kind}')
        if description is not None and id(description) not in built:
            built[id(description)] = build(key, description)
        result[key] = built.get(id(description))
    return result


def build(key: str, description: Description) -> torch.nn.Module | None:
    """Our class for the description, on the CPU, in eval mode, without gradients. Raises Refused."""
    args, kwargs = plain(description.args), plain(description.kwargs)
    check_types(kwargs)
    if description.class_name == 'AugmentPipe':
        return _build_augment(args, kwargs, description.tensors)
    try:
        with _Shapes(), np.errstate(all='ignore'):      # the gain of a layer without channels
            module = CLASSES[description.class_name](*args, **kwargs)
    except Exception as error:
        raise Refused(f'holds a {description.class_name} of another kind ({reason(error)})') from error
    _fill(module, description.tensors, key)
    _try_encodings(module)
    return module.eval().requires_grad_(False)


def dataset_kwargs(kwargs: Any) -> dict | None:
    """Plain arguments for `dataset.construct_dataset`, whose class name is in its table, or None."""
    kwargs = plain(kwargs)
    if not kwargs:
        return None
    found = kwargs.get('class_name') if isinstance(kwargs, dict) else kwargs
    if found not in dataset.CLASSES:
        known = ', '.join(dataset.CLASSES)
        raise Refused(f'names the dataset class {str(found)[:80]!r}, expected one of {known}')
    return kwargs


# ----- arguments --------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
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


def check_types(kwargs: dict) -> None:
    """Refuses arguments that no network takes, and a count of layers that only takes time."""
    if not isinstance(kwargs, dict):
        raise Refused(f'has a {type(kwargs).__name__} for arguments, expected a dictionary')
    for name, value in kwargs.items():
        if name in TYPES and not isinstance(value, TYPES[name]):
            expected = ' or '.join(kind.__name__ for kind in TYPES[name]).replace('NoneType', 'None')
            raise Refused(f'has {name} = {str(value)[:40]!r} among its arguments, expected {expected}')
        if name == 'num_layers' and value > MAX_LAYERS:
            raise Refused(f'has a mapping network of {value} layers, expected at most {MAX_LAYERS}')
        if name == 'kernel_size' and value % 2 != 1:
            raise Refused(f'has kernel_size = {value} among its arguments, expected an odd number')
        if name in TYPES and isinstance(value, dict):
            check_types(value)


# ----- modules ----------------------------------------------------------------------------------------------


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


def _fill(module: torch.nn.Module, tensors: dict[str, torch.Tensor], key: str) -> None:
    """Gives every parameter and buffer the tensor of its name; names and shapes have to agree."""
    expected = dict([*module.named_parameters(), *module.named_buffers()])
    filters = {name: value for name, value in expected.items() if name.endswith('resample_filter')}
    tensors = {**filters, **tensors}        # some formats leave them to the arguments
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


def _try_encodings(module: torch.nn.Module) -> None:
    """Evaluates the smallest encodings once: only they understand their options."""
    for name in ('b4', 'b8'):
        block = getattr(getattr(module, 'synthesis', None), name, None)
        if block is None or block.encoding is None:
            continue
        try:
            block.encode(torch.float32, torch.device('cpu'), None)
        except Exception as error:
            raise Refused(f'holds a positional encoding of another kind ({reason(error)})') from error


def _build_augment(args, kwargs: dict, tensors: dict[str, torch.Tensor]) -> torch.nn.Module | None:
    """The augmentation with its strength p, the only thing about it that training changes."""
    try:
        kind = importlib.import_module(AUGMENT).AugmentPipe
    except (ImportError, AttributeError):
        warnings.warn('the augmentation recorded in a network file is left out: there is none here')
        return None
    try:
        module = kind(*args, **kwargs)
    except Exception as error:
        raise Refused(f'holds an AugmentPipe of another kind ({reason(error)})') from error
    strength = tensors.get('p')
    if strength is None or strength.numel() != 1 or not 0 <= float(strength) < float('inf'):
        raise Refused('holds an AugmentPipe without its strength p, a number of 0 or more')
    module.p.copy_(strength.reshape(()))
    return module.eval().requires_grad_(False)
