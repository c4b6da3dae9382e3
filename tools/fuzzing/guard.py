"""Reads a file and watches: what must not run, how long it takes, how much memory it asks for."""

import contextlib
import dataclasses
import re
import resource
import signal
import sys

SECONDS = 20            # longer is a hang
MEGABYTES = 500         # more in use after a read than before is an allocation the file does not pay for
# What Python tells an audit hook when something runs, is loaded, is written or is sent.
FORBIDDEN = ('os.system', 'os.exec', 'os.posix_spawn', 'os.spawn', 'os.fork', 'os.remove', 'os.rename',
             'os.mkdir', 'os.rmdir', 'os.putenv', 'subprocess.Popen', 'socket.', 'shutil.', 'exec', 'compile',
             'import', 'ctypes.dlopen', 'pickle.find_class', 'webbrowser.')


@dataclasses.dataclass
class Case:
    """A kind of file: valid ones to start from, and how one is read."""
    name: str
    originals: list[bytes]
    read: object        # bytes → None; raises ValueError or OSError


class Hang(BaseException):
    """Not an Exception, so that no reader takes it for damage."""


class Executed(BaseException):
    """A read did what a read must not do."""


class Guard:
    """Reads a file while an audit hook and a clock look on."""

    def __init__(self):
        self.armed = False
        sys.addaudithook(self._audit)
        signal.signal(signal.SIGALRM, self._ring)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)       # a SystemExit is a finding here

    def watch(self, case: Case, data: bytes) -> str:
        """'read', 'refused', or what went wrong."""
        before = peak_memory()
        signal.alarm(SECONDS)
        self.armed = True
        try:
            case.read(data)
            outcome = 'read'
        except (ValueError, OSError) as error:
            outcome = 'refused' if str(error).strip() else f'{type(error).__name__} that says nothing'
        except KeyboardInterrupt:
            raise
        except Hang:
            outcome = f'hang: longer than {SECONDS} s'
        except BaseException as error:
            outcome = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
        finally:
            self.armed = False
            signal.alarm(0)
        grown = peak_memory() - before
        return outcome if grown < MEGABYTES else f'memory: {grown} MB more than before'

    def _audit(self, event, arguments):
        if not self.armed:
            return
        writes = event == 'open' and isinstance(arguments[1], str) and set(arguments[1]) & set('wax+')
        if writes or event.startswith(FORBIDDEN):
            self.armed = False
            raise Executed(f'{event} {str(arguments)[:200]}')

    def _ring(self, *_):
        if self.armed:
            raise Hang


def peak_memory() -> int:
    """The most memory this process has had in use, in megabytes."""
    with contextlib.suppress(OSError), open('/proc/self/status') as file:  # getrusage counts the parent's
        return int(re.search(r'VmHWM:\s+(\d+)', file.read())[1]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
