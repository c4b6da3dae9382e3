"""The processes of one run: who they are, what they tell each other, how one joins the others and leaves.

A run is one process, or several that torch.distributed joins: started by `launch.launch` on this machine, or
by torchrun on one or more. Without others every function here does what a single process needs, so nobody has
to ask.
"""

import contextlib
import datetime
import inspect
import json
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import torch
import torch.distributed as dist

from torch_utils import misc, training_stats

T = TypeVar('T')

LIMIT = datetime.timedelta(minutes=10)  # that the others wait for one: a snapshot is written in less
JOIN_LIMIT = datetime.timedelta(minutes=5)  # for all to come together
GRACE = 5               # seconds for an orderly end, before there is another
FAILURE = 'stylegan2-mspe/failure'


class World(NamedTuple):
    """This process among those of the run."""
    rank: int
    size: int
    local_rank: int             # among those on this machine
    local_size: int


# ----- who they are -----------------------------------------------------------------------------------------


def from_environment(environment: Mapping[str, str] = os.environ) -> World | None:
    """What torchrun says; None where this process was started alone. Raises ValueError for half of it."""
    if environment.get('WORLD_SIZE', '1') == '1' and environment.get('RANK', '0') == '0':
        return None
    names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise ValueError(f'found {"RANK" if "RANK" in environment else "WORLD_SIZE"} in the environment, '
                         f'expected {", ".join(missing)} with it, as torchrun sets them')
    try:
        rank, size, local_rank = (int(environment[name]) for name in names[:3])
        local_size = int(environment.get('LOCAL_WORLD_SIZE', local_rank + 1))
    except ValueError as error:
        raise ValueError(f'RANK, WORLD_SIZE, LOCAL_RANK in the environment: expected whole numbers ({error})'
                         ) from None
    if not 0 <= rank < size or not 0 <= local_rank < local_size:
        raise ValueError(f'RANK={rank}, WORLD_SIZE={size}, LOCAL_RANK={local_rank} in the environment: '
                         'expected ranks below the number of processes')
    return World(rank, size, local_rank, local_size)


_world = World(0, 1, 0, 1)
_store: 'dist.Store | None' = None       # where the processes meet


def rank() -> int:
    return _world.rank


def size() -> int:
    return _world.size


def is_first() -> bool:
    """Whether this is the process that reads and writes the run folder and talks to a person."""
    return _world.rank == 0


def device(kind: str) -> torch.device:
    """This process's device of a kind ('cpu', 'cuda'). Raises ValueError where there are too few of them."""
    if kind != 'cuda':
        return torch.device(kind)
    check_devices(kind, _world.local_size)
    torch.cuda.set_device(_world.local_rank)
    return torch.device(kind, _world.local_rank)


def check_devices(kind: str, count: int) -> None:
    """Raises ValueError where a machine has fewer than `count` devices of this kind."""
    if kind == 'cuda' and count > torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise ValueError(f'--gpus={count}: found {found} CUDA device{"s" * (found != 1)} on this machine, '
                         'expected one for each process')


# ----- what they tell each other ----------------------------------------------------------------------------


def share(value: T) -> T:
    """The first process's value, in all of them; each has to call it."""
    if size() == 1:
        return value
    values = [value if is_first() else None]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def gather(value: T) -> list[T]:
    """The value of every process, in their order; each has to call it."""
    values = [value]
    if size() > 1:
        values = [None] * size()
        dist.all_gather_object(values, value)
    return values


@torch.no_grad()
def average(tensors: Iterable[torch.Tensor]) -> None:
    """Sets each to its mean over all processes."""
    tensors = list(tensors)
    if size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, mean in zip(tensors, (flat / size()).split([tensor.numel() for tensor in tensors])):
        tensor.copy_(mean.view_as(tensor))


@torch.no_grad()
def spread(modules: Iterable[torch.nn.Module]) -> None:
    """Gives all processes the first one's parameters and buffers."""
    if size() > 1:
        for module in modules:
            for tensor in misc.params_and_buffers(module):
                dist.broadcast(tensor, src=0)


def parallel(module: torch.nn.Module) -> torch.nn.Module:
    """The module in torch's DistributedDataParallel; itself where there is one process.

    Its buffers are the caller's to keep alike, and so is which of its parameters get a gradient: each of
    them, in a backward pass that misc.ddp_sync does not keep silent.
    """
    if size() == 1:
        return module
    frozen = [parameter for parameter in module.parameters() if not parameter.requires_grad]
    module.requires_grad_(True)
    known = inspect.signature(torch.nn.parallel.DistributedDataParallel).parameters
    newer, older = 'forward_sync_buffers', 'broadcast_buffers'
    silent = newer if newer in known else older
    # Of channels-last layers; harmless.
    warnings.filterwarnings('ignore', message='Grad strides do not match')
    wrapped = torch.nn.parallel.DistributedDataParallel(module, **{silent: False})
    for parameter in frozen:
        parameter.requires_grad_(False)
    return wrapped


def check(modules: Iterable[torch.nn.Module]) -> None:
    """Raises ValueError, in all processes, where a parameter or buffer is not the same in all of them."""
    if size() == 1:
        return
    found = []
    for module in modules:
        try:
            misc.check_ddp_consistency(module)
        except AssertionError as error:
            found.append(str(error))
    told = gather(found)
    if any(told):
        raise ValueError(f'the processes have drifted apart, so nothing is written: {sum(told, [])[0]} '
                         '--resume=latest goes on from the newest state')


# ----- how one of them joins and leaves ---------------------------------------------------------------------


@contextlib.contextmanager
def joined(world: World, store: 'dist.Store | None' = None) -> Iterator[None]:
    """Inside, this process is one of `world`: the functions above reach the others.

    store: where they meet; None = as the environment says. Shares the CPU's threads out. Raises ValueError
    where the others do not come. A process that ends with an exception should `tell`.
    """
    global _world, _store
    torch.set_num_threads(max(1, torch.get_num_threads() // world.local_size))
    _world = world
    _store = store = store or _meet(world)
    backend = 'cpu:gloo,cuda:nccl' if torch.cuda.is_available() and dist.is_nccl_available() else 'gloo'
    dist.init_process_group(backend, store=store, rank=world.rank, world_size=world.size, timeout=LIMIT)
    training_stats.init_multiprocessing(world.rank, torch.device('cpu'))
    yield
    share(None)                 # nobody leaves while another still works
    training_stats.init_multiprocessing(0, None)
    _world = World(0, 1, 0, 1)
    dist.destroy_process_group()
    _store = None


def _meet(world: World) -> 'dist.Store':
    try:
        return next(dist.rendezvous('env://', timeout=JOIN_LIMIT))[0]
    except (RuntimeError, OSError, ValueError) as error:
        place = f'{os.environ.get("MASTER_ADDR")}:{os.environ.get("MASTER_PORT")}'
        raise ValueError(f'process {world.rank} of {world.size} did not find the others at {place} '
                         f'({str(error).splitlines()[0]})') from None


class Failure(NamedTuple):
    """What a process has to say when it ends early."""
    code: int                   # to exit with
    text: str                   # a sentence, or a traceback
    lost: bool = False          # it may be for want of another process


def tell(failure: Failure) -> bool:
    """Tells the other processes what has ended this one; whether it was the first of them to end.

    A process that only lost another gives that one time to tell.
    """
    key = f'{FAILURE}/{os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")}'
    own = json.dumps([rank(), *failure])
    deadline = time.monotonic() + (GRACE / 2 if failure.lost else 0)
    try:
        while time.monotonic() < deadline and not _store.check([key]):
            time.sleep(.05)
        return _store.compare_set(key, '', own).decode() == own
    except (RuntimeError, AttributeError):      # it is gone with the process that kept it, or never was
        return True
