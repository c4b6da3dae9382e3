"""Reads pickles without running anything they ask for.

A pickle is a program for a stack machine. This one knows a table of names and nothing else: what a name
stands for is a `Call` (a function of ours that checks its arguments), a `Fill` (an empty container) or a
plain value. Other names, persistent ids and rarely used instructions are refused; keys are strings or
numbers, because hashing a nest of tuples can take for ever; nothing is allocated that the file does not
contain.
"""

import collections
import contextlib
import dataclasses
import io
import math
import pickle
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from dnnlib.util import EasyDict

KEY_TYPES = (str, bytes, int, float, type(None))


class Refused(ValueError):
    """A file asks for something that network files have no need of; the message is the rest of a sentence."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A name that the file may call; the function gets whatever the file says and has to check it."""
    function: Callable


@dataclasses.dataclass(frozen=True)
class Fill:
    """A name that the file may create an empty one of, to fill it afterwards."""
    create: Callable[[], Any]


@dataclasses.dataclass(eq=False)
class Record:
    """Stands for an object of another program: whatever state the file gives it."""
    state: Any = None


def load(data: bytes, names: Mapping[tuple[str, str], Any]) -> Any:
    """Returns what the pickle `data` describes; `names` are added to those known here.

    Raises Refused for what it must not contain; anything else that `pickle.load` raises means a damaged file.
    """
    return _Machine(data, {**NAMES, **names}).load()


# The interpreter written in Python, because its instructions can be replaced one by one; the one in C offers
# a hook for names only. A network is a few thousand instructions, so it is not slower.
class _Machine(pickle._Unpickler):
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, data: bytes, names: Mapping[tuple[str, str], Any]):
        super().__init__(io.BytesIO(data))
        self.names = names

    def find_class(self, module: str, name: str):
        try:
            return self.names[module, name]
        except KeyError:
            raise Refused(f'asks for {module}.{name}, which a network file has no need of') from None

    def persistent_load(self, pid):
        raise Refused('refers to an object outside the file (a persistent id)')

    def refuse(self):
        raise Refused('uses an instruction that network files have no need of')

    def reduce(self):
        arguments, function = self.stack.pop(), self.stack.pop()
        if isinstance(function, Fill) and arguments == ():
            function = Call(function.create)
        if not isinstance(function, Call) or not isinstance(arguments, tuple):
            raise Refused(f'calls a {type(function).__name__}, expected a function of network files')
        self.append(function.function(*arguments))

    def newobj(self):
        arguments, kind = self.stack.pop(), self.stack.pop()
        if not isinstance(kind, Fill) or arguments != ():
            raise Refused(f'creates an object of a {type(kind).__name__}, expected an empty container')
        self.append(kind.create())

    def build(self):
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.ndarray):
            _set_array(target, state)
        elif isinstance(target, np.dtype):
            _set_dtype(target, state)
        elif isinstance(target, Record):
            target.state = state
        elif not isinstance(target, dict):  # attributes of a dictionary say nothing about a network
            raise Refused(f'sets attributes of a {type(target).__name__}')

    def bytearray8(self):
        size = int.from_bytes(self.read(8), 'little')
        self.append(self.read(size))  # raises for more than there is, where the original allocates it first

    def setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self.put([key, value])

    def setitems(self):
        self.put(self.pop_mark())

    def put(self, items: list):
        if not isinstance(self.stack[-1], dict):
            raise Refused(f'sets items of a {type(self.stack[-1]).__name__}')
        self.stack[-1].update(zip(_checked_keys(items[::2]), items[1::2], strict=True))

    def new_dict(self):
        items = self.pop_mark()
        self.append(dict(zip(_checked_keys(items[::2]), items[1::2], strict=True)))

    def additems(self):
        items = self.pop_mark()
        _make_set(self.stack[-1]).update(_checked_keys(items))

    def frozenset(self):
        self.append(frozenset(_checked_keys(self.pop_mark())))

    for _code, _function in [(pickle.REDUCE, reduce), (pickle.NEWOBJ, newobj), (pickle.BUILD, build),
                             (pickle.SETITEM, setitem), (pickle.SETITEMS, setitems), (pickle.DICT, new_dict),
                             (pickle.ADDITEMS, additems), (pickle.FROZENSET, frozenset),
                             (pickle.BYTEARRAY8, bytearray8)]:
        dispatch[_code[0]] = _function
    for _code in [pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4,
                  pickle.NEXT_BUFFER, pickle.READONLY_BUFFER]:
        dispatch[_code[0]] = refuse


def _checked_keys(keys) -> list:
    for key in keys:
        if not isinstance(key, KEY_TYPES):
            raise Refused(f'has a {type(key).__name__} as a key, where strings and numbers are expected')
    return keys


def _make_set(items=()) -> set:
    return items if isinstance(items, set) else set(_checked_keys(list(items)))


def _make_ordered_dict(items=()) -> dict:
    pairs = [tuple(pair) for pair in items]
    _checked_keys([key for key, _ in pairs])
    return collections.OrderedDict(pairs)


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into a pickle of protocol 2."""
    if encoding not in ('latin1', 'latin-1'):
        raise Refused(f'encodes text as {encoding!r}, expected latin1')
    return text.encode('latin1')


def _counts(numbers, what: str) -> tuple[int, ...]:
    if not isinstance(numbers, (tuple, list)) or len(numbers) > 16 or any(
            type(number) is not int or not 0 <= number < 2 ** 48 for number in numbers):
        raise Refused(f'holds {what} that is not a short list of counts')
    return tuple(numbers)


# numpy: numbers and arrays of plain numbers.

def _make_dtype(name, *_) -> np.dtype:
    if not isinstance(name, str) or not re.fullmatch(r'[<>=|]?[biufc][0-9]{0,2}', name):
        raise Refused(f'holds numbers of type {str(name)[:40]!r}, expected plain ones')
    return np.dtype(name, False, True)  # a copy, whose byte order may be set


def _set_dtype(dtype: np.dtype, state) -> None:
    plain = (None, None, None, -1, -1, 0)   # no fields, no subarray, natural size and alignment
    if type(state) is not tuple or state[0] not in (3, 4) or state[1] not in '<>|=' or state[2:] != plain:
        raise Refused('holds numbers of a compound type, expected plain ones')
    dtype.__setstate__(state)


def _make_scalar(dtype, value) -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(value, bytes) or len(value) != dtype.itemsize:
        raise Refused('holds a number that does not fit its type')
    return np.frombuffer(value, dtype)[0]


def _make_array(*_) -> np.ndarray:
    return np.empty([0])


def _set_array(array: np.ndarray, state) -> None:
    if type(state) is not tuple or len(state) != 5:
        raise Refused('holds an array in an unknown form')
    version, shape, dtype, fortran, data = state
    shape = _counts(shape, 'the shape of an array')
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes) or (
            len(data) != math.prod(shape) * dtype.itemsize):
        raise Refused('holds an array whose data do not fit its shape')
    array.__setstate__((1, shape, dtype, bool(fortran), data))


def _array_from_buffer(data, dtype, shape, order) -> np.ndarray:
    array = _make_array()
    _set_array(array, (1, shape, dtype, order == 'F', bytes(data)))
    return array


# torch: tensors over storages that lie in the file.

@dataclasses.dataclass(frozen=True)
class _Storage:
    """Numbers in a row: raw bytes and what they mean."""
    raw: torch.UntypedStorage
    dtype: torch.dtype


def _load_storage(data) -> _Storage:
    """A storage as torch writes it into a pickle: the bytes of a torch.save file of its old format."""
    if not isinstance(data, bytes) or data[:2] == b'PK':
        raise Refused('holds tensor data in an unknown form')
    storage = load_torch(data)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise Refused(f'holds a {type(storage).__name__} where tensor data are expected')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch's own: typed storages will go one day
        return _Storage(storage.untyped(), storage.dtype)


def load_torch(data: bytes, classes: Sequence[type] = ()) -> Any:
    """What torch.save wrote, onto the CPU: tensors, containers, and objects of `classes`, which torch fills
    with attributes. Raises Refused for anything else."""
    allow = getattr(torch.serialization, 'safe_globals', None)          # torch 2.5
    if classes and allow is None:
        torch.serialization.add_safe_globals(list(classes))
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter('ignore')  # torch's own, on its future and on pickles of another protocol
            if classes and allow:
                stack.enter_context(allow(list(classes)))
            return torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        name = re.search(r'GLOBAL ([\w.]+)', str(error))
        asked = f'asks for {name[1]} in tensor data' if name else 'holds tensor data that cannot be read'
        raise Refused(f'{asked}, where only numbers are expected') from error


def _make_tensor(storage, offset, size, stride, *_) -> torch.Tensor:
    if not isinstance(storage, _Storage):
        raise Refused(f'makes a tensor of a {type(storage).__name__}')
    size, stride = _counts(size, 'a size'), _counts(stride, 'a stride')
    offset, = _counts([offset], 'an offset')
    tensor = torch.empty(0, dtype=storage.dtype)
    available = storage.raw.nbytes() // tensor.element_size()
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if math.prod(size) and not (last < available and math.prod(size) <= available):
        raise Refused(f'describes a tensor of shape {list(size)} over {available} numbers')
    return tensor.set_(storage.raw, offset, size, stride)


def _make_parameter(tensor, *_) -> torch.Tensor:
    return tensor


NAMES = {
    ('collections', 'OrderedDict'): Call(_make_ordered_dict),
    ('dnnlib.util', 'EasyDict'): Fill(EasyDict),
    ('builtins', 'set'): Call(_make_set),
    ('__builtin__', 'set'): Call(_make_set),
    ('_codecs', 'encode'): Call(_encode),
    ('numpy', 'dtype'): Call(_make_dtype),
    ('numpy', 'ndarray'): 'numpy.ndarray',
    **{(f'numpy.{core}.{module}', name): Call(function)
       for core in ('core', '_core')
       for module, name, function in [('multiarray', 'scalar', _make_scalar),
                                      ('multiarray', '_reconstruct', _make_array),
                                      ('numeric', '_frombuffer', _array_from_buffer)]},
    ('torch.storage', '_load_from_bytes'): Call(_load_storage),
    ('torch._utils', '_rebuild_tensor_v2'): Call(_make_tensor),
    ('torch._utils', '_rebuild_tensor'): Call(_make_tensor),
    ('torch._utils', '_rebuild_parameter'): Call(_make_parameter),
    ('torch', 'device'): Call(lambda kind, *_: str(kind)),
    ('torch', 'Size'): Call(lambda size=(): _counts(size, 'a size')),
    **{('torch', name): getattr(torch, name) for name in (
        'float16', 'bfloat16', 'float32', 'float64', 'uint8', 'int8', 'int16', 'int32', 'int64', 'bool')},
    ('torch', 'contiguous_format'): torch.contiguous_format,
    ('torch', 'channels_last'): torch.channels_last,
    ('torch.serialization', '_get_layout'): Call(str),
}
