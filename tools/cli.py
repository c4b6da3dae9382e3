"""What the click programs share: one-sentence errors, options that several have, a progress line."""

import gc
import importlib
import os
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import NoReturn, TextIO, TypeVar

import click
from click.core import ParameterSource

from stylegan2_mspe.shortage import is_shortage
from tools.option_types import DetectorType, ListType

T = TypeVar('T')

# For every program: @click.command(context_settings=cli.SETTINGS). `--max_images` is `--max-images`.
SETTINGS = dict(help_option_names=['-h', '--help'], token_normalize_func=lambda name: name.replace('_', '-'))

QUIET_SECONDS = 2   # a live progress line appears only after this
LIVE_SECONDS = 0.2  # between updates of the live line
PLAIN_SECONDS = 10  # between lines where stderr is no terminal


def choose_options(table: dict):
    """options(*names), which adds the shared options of those names in `table` to a program."""
    def options(*names: str):
        def add(program):
            for name in reversed(names):
                program = table[name](program)
            return program
        return add
    return options


def run(command: click.Command) -> NoReturn:
    """Runs a click program and exits: 0, 2 for a wrong command line, 130 for Ctrl-C, 143 where it is asked to
    end, and 1 with one sentence on stderr where the program raises ValueError, OSError or MemoryError, or
    torch runs out of memory."""
    behave()
    try:
        status = command.main(args=[at_home(each) for each in sys.argv[1:]], standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (Exception, KeyboardInterrupt) as error:
        known = ending(error)
        if known is None:
            raise
        code, line = known
        print(line, file=sys.stderr)
        sys.exit(code)
    sys.exit(status if isinstance(status, int) else 0)


def at_home(argument: str) -> str:
    """`--data=~/cats.zip`, as StyleGAN2-ADA's README has it, with the folder that shells leave a ~ there."""
    option, equals, value = argument.partition('=')
    if option.startswith('--') and value.startswith('~'):
        value = os.path.expanduser(value)
    return f'{option}{equals}{value}'


def ending(error: BaseException) -> tuple[int, str] | None:
    """The exit code and the line for stderr of what ends a program; None for a mistake of our own."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1, ''
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return 130, 'Interrupted.'
    if is_shortage(error):
        reason = ''.join(str(error).splitlines()[:1])
        return 1, error_line(f'out of memory ({reason})' if reason else 'out of memory')
    if isinstance(error, OSError):
        return 1, error_line(describe_os_error(error))
    if isinstance(error, ValueError):
        return 1, error_line(str(error))
    return None


def error_line(sentence: str) -> str:
    return f'Error: {" ".join(sentence.split())}'


def behave() -> None:
    """Ends in order, warns in one line, and writes a letter that the system's encoding lacks as its code."""
    end_in_order()
    warnings.formatwarning = one_line_warning
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')


def end_in_order() -> None:
    """Lets SIGTERM end the program as an exception does, so that unfinished files are removed."""
    program = os.getpid()

    def end(*_):
        if os.getpid() != program:  # a process forked from this one
            os._exit(143)
        sys.exit(143)

    signal.signal(signal.SIGTERM, end)


def fail(sentence: str) -> NoReturn:
    """Prints `Error: <sentence>` as one line on stderr and exits with code 1."""
    print(error_line(sentence), file=sys.stderr)
    sys.exit(1)


def one_line_warning(message: Warning | str, *_, **__) -> str:
    """`Warning: <sentence>` instead of Python's two lines with the place in the source."""
    return f'Warning: {" ".join(str(message).split())}\n'


def describe_os_error(error: OSError) -> str:
    """'data.zip: No such file or directory' instead of Python's '[Errno 2] ...'."""
    if error.strerror is None:
        return str(error)
    parts = (error.filename, error.filename2, error.strerror)
    return ': '.join(str(part) for part in parts if part is not None)


def typed(option: str) -> bool:
    """Whether that option of the running program, such as '--shift', was given and is not a default."""
    context = click.get_current_context()
    parameter = next(each for each in context.command.params if option in each.opts)
    return context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE


def refuse_unused(option: str, used: bool, found: str, expected: str) -> None:
    """Raises ValueError where the option was typed though, beside what was `found`, nothing comes of it."""
    if not used and typed(option):
        raise ValueError(f'{option}: found {found}, expected {expected}')


def metrics_option(help: str, **how):
    """--metrics: names separated by commas; `none` is an empty tuple."""
    none = lambda ctx, param, value: () if value == ('none',) else value
    return click.option('--metrics', type=ListType(str, 'names'), metavar='NAMES', callback=none, help=help,
                        **how)


def detector_option(default: str = ''):
    """--detector: what metrics see pictures with, {kind: file}, '' for every kind. default: said in the help.
    """
    as_dict = lambda ctx, param, value: dict(value)
    return click.option('--detector', 'detectors', type=DetectorType(), multiple=True, callback=as_dict,
                        help="TorchScript file in place of StyleGAN2's, or digits, the classifier in the "
                        f'box: for all metrics, or with inception= or vgg16= for some{default}')


def load_torch() -> None:
    """Imports torch for the first time. All that it makes stays: the garbage collector, which would look
    through it again and again on the way, and once more at the end, for a third of a second, is spared it.
    """
    if 'torch' not in sys.modules:
        gc.disable()
        importlib.import_module('torch')
        gc.freeze()
        gc.enable()


def pick_device(name: str):
    """'auto' is CUDA where there is some. Raises ValueError for CUDA where there is none."""
    load_torch()
    import torch

    if name == 'cuda' and not torch.cuda.is_available():
        raise ValueError('--device=cuda: found no CUDA device, expected one (or --device=cpu)')
    if name != 'cpu' and torch.cuda.is_available():
        return torch.device('cuda')
    from stylegan2_mspe.allocator import keep_freed_memory
    keep_freed_memory()
    return torch.device('cpu')


# ----- progress ---------------------------------------------------------------------------------------------


def progress(iterable: Iterable[T], total: int, label: str, stream: TextIO | None = None) -> Iterator[T]:
    """Passes `iterable` through and shows count, rate and time left on `stream`, by default stderr.

    On a terminal it is one live line, from the third second on; elsewhere a plain line every ten seconds.
    """
    stream = stream or sys.stderr
    live = stream.isatty()
    start = time.monotonic()
    due = start + (QUIET_SECONDS if live else PLAIN_SECONDS)
    shown = False
    try:
        for count, item in enumerate(iterable, 1):
            yield item
            now = time.monotonic()
            if now >= due:
                due = now + (LIVE_SECONDS if live else PLAIN_SECONDS)
                shown = live
                _show(_progress_line(label, count, total, now - start), live, stream)
    finally:
        if shown:
            print(file=stream)


def _progress_line(label: str, count: int, total: int, seconds: float) -> str:
    rate = count / max(seconds, 1e-9)
    left = _clock((total - count) / rate)
    return f'{label} {count}/{total} ({100 * count // max(total, 1)}%), {rate:.3g}/s, {left} left'


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d}' if hours else f'{minutes}:{seconds:02d}'


def _show(line: str, live: bool, stream: TextIO) -> None:
    if live:
        width = shutil.get_terminal_size().columns - 1
        print('\r' + line[:width].ljust(width), end='', file=stream, flush=True)
    else:
        print(line, file=stream, flush=True)
