"""A device that is not the CPU, made of the CPU's own tensors: it refuses what a GPU refuses, tensors of two
devices in one operator and numpy, and counts how often somebody waits for what it computes.
"""

import contextlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from stylegan2_mspe import chance

DEVICE = torch.device('meta')           # lends its name: PyTorch knows it, and it needs no driver
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
WAITING = {aten._local_scalar_dense.default, aten.is_nonzero.default, aten.equal.default,
           aten.nonzero.default, aten._unique2.default, aten.masked_select.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}     # also by the CPU's


class There(torch.Tensor):
    """A tensor of that device, which holds one of the CPU's."""

    @staticmethod
    def __new__(cls, here):
        return torch.Tensor._make_wrapper_subclass(cls, here.size(), strides=here.stride(), dtype=here.dtype,
                                                   storage_offset=here.storage_offset(), device=DEVICE)

    def __init__(self, here):
        self.here = here

    def tolist(self):
        return self.cpu().tolist()

    def __getitem__(self, index):       # of lists PyTorch makes tensors that no dispatcher sees
        parts = index if isinstance(index, tuple) else (index,)
        return super().__getitem__(tuple(torch.tensor(part) if isinstance(part, list) else part
                                         for part in parts))

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        return Device.run(operator, args, kwargs or {})


class Device(TorchDispatchMode):
    """Within it the device is there."""

    waits = 0                           # for a number, or for a copy

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        return self.run(operator, args, kwargs or {})

    @classmethod
    def run(cls, operator, args, kwargs):
        flat, spec = tree_flatten((args, kwargs))
        there = {id(each.here): each for each in flat if isinstance(each, There)}
        here = [each for each in flat if isinstance(each, torch.Tensor) and not isinstance(each, There)]
        mixed = not isinstance(args[0], There) if operator in INDEXING else any(each.ndim for each in here)
        if there and mixed and operator not in COPIES:
            raise RuntimeError(f'{operator} of tensors on two devices')
        target = kwargs.get('device')
        result = cls.result_is_there(operator, args, bool(there), target)
        cls.waits += bool(there) and (operator in WAITING or operator in COPIES and not result)
        args, kwargs = tree_unflatten([each.here if isinstance(each, There) else each for each in flat], spec)
        if target is not None and torch.device(target) == DEVICE:
            kwargs = dict(kwargs, device='cpu')

        def wrapped(each):              # what an operator has changed in place is what it was given
            return there[id(each)] if id(each) in there else There(each)
        found = operator(*args, **kwargs)
        return tree_map_only(torch.Tensor, wrapped, found) if result else found

    @staticmethod
    def result_is_there(operator, args, given: bool, target) -> bool:
        if operator is aten.copy_.default:
            return isinstance(args[0], There)
        return given if target is None else torch.device(target) == DEVICE


@contextlib.contextmanager
def other_device(monkeypatch):
    """Inside, DEVICE is a device; gives the class that counts. What never asks a dispatcher is replaced."""
    def sent(make):
        def made(data, *args, device=None, **kwargs):
            if isinstance(data, torch.Tensor):
                return data.to(device or data.device, kwargs.get('dtype'))
            return make(data, *args, **kwargs).to(device or 'cpu')
        return made

    def generator(part, device):        # for both devices, so that the numbers are the CPU's
        return part.generators.setdefault(torch.device('cpu'), torch.Generator().manual_seed(part.seed))

    adam = torch.optim.Adam
    with monkeypatch.context() as patch:
        patch.setattr(torch, 'as_tensor', sent(torch.as_tensor))
        patch.setattr(torch, 'tensor', sent(torch.tensor))
        patch.setattr(torch, 'is_autocast_enabled', lambda *_: False)
        patch.setattr(torch, 'autocast', lambda *_, **__: contextlib.nullcontext())
        patch.setattr(torch.optim, 'Adam', lambda *args, fused=None, foreach=None, **kwargs: adam(
            *args, foreach=False, **kwargs))
        patch.setattr(chance._Part, 'generator', generator)
        Device.waits = 0
        with Device():
            yield Device
