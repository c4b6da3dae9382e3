"""Network files of any kind: how they are read, described, checked and turned into modules.

What a file says becomes a module of a class of ours, built from plain arguments of the expected types and
filled with tensors by name; nothing runs that the file brings along, and nothing is allocated that it does
not contain.
"""

import contextlib
import dataclasses
import numbers
import os
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import numpy as np
import torch
import torch.overrides

import dnnlib
from dnnlib import EasyDict
from stylegan2_mspe import dataset
from stylegan2_mspe.safe_pickle import Refused

MAX_NUMBER = 2 ** 31    # among a constructor's arguments
MAX_PARTS = 100_000     # tensors or arguments of one network


class NetworkFileError(ValueError):
    """A file is no network, is damaged or asks for more than a network needs; the message is a sentence."""


def read(source: str | os.PathLike | IO[bytes]) -> tuple[str, bytes]:
    """The whole content of a path, a URL or an open binary file, and the name to use in sentences."""
    if hasattr(source, 'read'):
        return str(getattr(source, 'name', 'the network file')), source.read()
    name = os.fspath(source)
    if dnnlib.util.is_url(name, allow_file_urls=True):
        with dnnlib.util.open_url(name) as file:
            return name, file.read()
    if os.path.isdir(name):
        raise NetworkFileError(f'{name} is a folder, expected a network file such as network-snapshot-*.pkl')
    with open(name, 'rb') as file:
        return name, file.read()


@contextlib.contextmanager
def sentences(name: str) -> Iterator[None]:
    """Turns whatever reading the file `name` raises into a sentence."""
    try:
        yield
    except Refused as error:
        raise NetworkFileError(f'{name} {error}') from error
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


def check_types(kwargs: Any, types: Mapping[str, tuple[type, ...]],
                check: Callable[[str, Any], None] = lambda name, value: None) -> None:
    """Refuses arguments that are not of these types by name, where True is no number; `check` may refuse
    others for their values.
    """
    if not isinstance(kwargs, dict):
        raise Refused(f'has a {type(kwargs).__name__} for arguments, expected a dictionary')
    for name, value in kwargs.items():
        kind = dict if isinstance(value, dict) else type(value)
        if name in types and kind not in types[name]:
            expected = ' or '.join(each.__name__ for each in types[name]).replace('NoneType', 'None')
            raise Refused(f'has {name} = {str(value)[:40]!r} among its arguments, expected {expected}')
        check(name, value)
        if name in types and isinstance(value, dict):
            check_types(value, types, check)


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


# ----- modules ----------------------------------------------------------------------------------------------


def construct(key: str, kind: type, description: Description) -> torch.nn.Module:
    """An object of the class `kind` from checked arguments, with the tensors of the description.

    `key` is what to call it in sentences. It is on the CPU, in eval mode and without gradients. Raises
    Refused.
    """
    try:
        with _Shapes(), np.errstate(all='ignore'):      # the gain of a layer without channels
            module = kind(*plain(description.args), **plain(description.kwargs))
    except Exception as error:
        raise Refused(f'holds a {description.class_name} of another kind ({reason(error)})') from error
    _fill(module, description.tensors, key)
    return module.eval().requires_grad_(False)


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
