"""How the processes of one run start on this machine, and end together."""

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

import torch.distributed as dist

from stylegan2_mspe.distributed import FAILURE, GRACE, JOIN_LIMIT, Failure, World


class Ended(ValueError):
    """One of the processes has ended early; the message is what it had to say. `code`: to exit with."""

    def __init__(self, failure: Failure):
        super().__init__(failure.text)
        self.code = failure.code


def launch(count: int, work: Callable, *arguments) -> None:
    """Runs work(world, store, *arguments) in `count` processes on this machine, and waits for their end.

    `work` is a function of a module, with arguments that can be pickled, and uses `distributed.joined`. When
    one process ends early so do all, and Ended says what the first had to say. They also end with this
    process, whatever becomes of it.
    """
    os.environ.setdefault('TORCH_CPP_LOG_LEVEL', 'ERROR')   # theirs: a lost connection would print pages
    store = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False, timeout=JOIN_LIMIT)
    context = multiprocessing.get_context('spawn')
    processes = [context.Process(target=_process, args=(World(index, count, index, count), store.port, work,
                                                        arguments))
                 for index in range(count)]
    try:
        for process in processes:
            process.start()
        _wait(processes)
        failure = _first_failure(processes, store)
    finally:
        _end(processes)
    if failure is not None:
        raise Ended(failure)


def _process(world: World, port: int, work: Callable, arguments: tuple) -> None:
    """One of the processes that `launch` starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C reaches all; the parent ends them in order
    multiprocessing.set_start_method(None, force=True)  # for processes of its own, which read: the usual one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    loopback = {name for _, name in socket.if_nameindex()} & {'lo', 'lo0'}
    if loopback:                # whatever this machine's name may stand for
        os.environ.setdefault('GLOO_SOCKET_IFNAME', min(loopback))
    store = dist.TCPStore('127.0.0.1', port, is_master=False, timeout=JOIN_LIMIT)
    work(world, store, *arguments)
    leave(0)


def leave(code: int) -> NoReturn:
    """Ends this process, one of several, as it is.

    Nothing is taken apart in the order that Python has for it: torch waits there for processes that are gone,
    and now and then aborts over a thread of its own that has not ended yet.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _wait(processes: list) -> None:
    """Until all have ended well, or one has not."""
    running = {process.sentinel: process for process in processes}
    while running:
        for sentinel in multiprocessing.connection.wait(list(running)):
            process = running.pop(sentinel)
            process.join()
            if process.exitcode:
                return


def _first_failure(processes: list, store: 'dist.Store') -> Failure | None:
    """What ended the run: what was told first; or, where that is the loss of another, how that one ended."""
    if not any(process.exitcode for process in processes):
        return None
    time.sleep(.5)              # several may be ending; whoever was killed is already gone
    told = None
    key = f'{FAILURE}/0'
    if store.check([key]):
        told = Failure(*json.loads(store.get(key))[1:])
    if told is not None and not told.lost:
        return told
    for index, process in enumerate(processes):
        if process.exitcode is not None and process.exitcode < 0:
            name = signal.Signals(-process.exitcode).name
            reason = ', for want of memory perhaps' if name == 'SIGKILL' else ''
            return Failure(1, f'Error: process {index} of {len(processes)} was ended by {name}{reason}; '
                           '--resume=latest goes on from the newest state')
    return told or Failure(1, 'Error: a process has ended early and said nothing')


def _end(processes: list) -> None:
    """Asks those that still run to end, and after a while ends them."""
    running = [process for process in processes if process.pid is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in running:
        process.join(max(deadline - time.monotonic(), 0))
    for process in running:
        process.kill()
        process.join()
