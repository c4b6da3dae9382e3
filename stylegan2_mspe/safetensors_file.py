"""The safetensors format: a JSON header of names, shapes and places, then numbers; nothing to execute.

Eight bytes of header length (little-endian), the header, the data; texts by name in `__metadata__`.
"""

import json
import math
import os
from typing import Any

import torch

from stylegan2_mspe.files import atomic_write
from stylegan2_mspe.network_file import reason
from stylegan2_mspe.safe_pickle import Refused

DTYPES = dict(F64=torch.float64, F32=torch.float32, F16=torch.float16, BF16=torch.bfloat16, I64=torch.int64,
              I32=torch.int32, I16=torch.int16, I8=torch.int8, U8=torch.uint8, BOOL=torch.bool)
MAX_HEADER = 100_000_000        # bytes, as in the reference implementation


def write_tensors(path: str | os.PathLike, tensors: dict[str, torch.Tensor],
                  metadata: dict[str, str]) -> None:
    """Writes a safetensors file; it appears when it is complete. Raises OSError."""
    names, header, place = {dtype: name for name, dtype in DTYPES.items()}, {'__metadata__': metadata}, 0
    for name, tensor in tensors.items():
        header[name] = dict(dtype=names[tensor.dtype], shape=list(tensor.shape),
                            data_offsets=[place, place + tensor.nbytes])
        place += tensor.nbytes
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)         # numbers begin at a multiple of eight
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for tensor in tensors.values():
            file.write(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())


def looks_like_one(data: bytes) -> bool:
    """Whether a file with this content begins as a safetensors file does. Its first byte may be any."""
    return data[8:9] == b'{'


def read_tensors(data: bytes) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file's content. Raises Refused for whatever does not fit."""
    size = int.from_bytes(data[:8], 'little')
    if len(data) < 8 or not 2 <= size <= min(len(data) - 8, MAX_HEADER):
        raise Refused(f'is not a safetensors file: found a header of {size} bytes in a file of {len(data)}')
    try:
        header = json.loads(data[8:8 + size].decode('utf-8'))
    except (ValueError, RecursionError) as error:
        raise Refused(f'has a header that is not JSON ({reason(error)})') from error
    if not isinstance(header, dict):
        raise Refused(f'has a header that is a {type(header).__name__}, expected a dictionary')
    metadata = header.pop('__metadata__', {})
    if not isinstance(metadata, dict):
        raise Refused('has metadata that are not texts by name')
    numbers, expected, tensors = memoryview(data)[8 + size:], 0, {}
    for name, entry in sorted(header.items(), key=_begin):
        tensors[name], expected = _tensor(name, entry, numbers, expected)
    if expected != len(numbers):
        raise Refused(f'has {len(numbers)} bytes of numbers, where its header describes {expected}')
    return tensors, metadata


def _begin(item: tuple[str, Any]) -> tuple[int, int]:
    """Where a tensor's data are; whatever is no place comes first, to be refused."""
    entry = item[1]
    offsets = entry.get('data_offsets') if isinstance(entry, dict) else None
    whole = isinstance(offsets, list) and len(offsets) == 2 and all(type(place) is int for place in offsets)
    return tuple(offsets) if whole else (-1, -1)


def _tensor(name: str, entry: Any, numbers: memoryview, expected: int) -> tuple[torch.Tensor, int]:
    """One tensor, which has to begin where the one before it ended, and where it ends."""
    begin, end = _begin((name, entry))
    dtype, shape = (entry.get(key) for key in ('dtype', 'shape')) if isinstance(entry, dict) else (None, None)
    if dtype not in DTYPES.keys() or not isinstance(shape, list) or len(shape) > 16 or any(
            type(count) is not int or not 0 <= count < 2 ** 48 for count in shape):
        raise Refused(f'has {name[:80]!r} of type {str(dtype)[:20]} and shape {str(shape)[:60]}, '
                      'expected plain numbers')
    size = math.prod(shape) * DTYPES[dtype].itemsize
    if begin != expected or end - begin != size or end > len(numbers):
        raise Refused(f'has {name[:80]!r} at bytes {begin} to {end} of {len(numbers)}, '
                      f'expected {expected} to {expected + size}')
    if not size:
        return torch.empty(shape, dtype=DTYPES[dtype]), end
    return torch.frombuffer(bytearray(numbers[begin:end]), dtype=DTYPES[dtype]).reshape(shape), end
