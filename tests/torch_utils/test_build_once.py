"""One process builds, the others wait: for as long as it lives, and no longer than they are told to."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from torch_utils.build_once import build_once, one_line

ROOT = pathlib.Path(__file__).parents[2]

# A process that builds: says so in a log, waits for a file to appear, then succeeds or fails.
PROGRAM = '''
import os, sys, time
sys.path.insert(0, sys.argv[1])
import importlib.util
spec = importlib.util.spec_from_file_location('build_once', sys.argv[1] + '/torch_utils/build_once.py')
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
folder, outcome, patience = sys.argv[2:]

def build(output):
    with open(folder + '/log', 'a') as log:
        log.write(f'{os.getpid()}\\n')
    while not os.path.exists(folder + '/go'):
        time.sleep(.01)
    if outcome == 'fails':
        raise OSError('nvcc: error: no such thing\\nand more')
    with open(output, 'w') as file:
        file.write('built')

try:
    module.build_once(folder + '/cache/thing', build, float(patience))
    print(open(folder + '/cache/thing').read())
except Exception as error:
    print(type(error).__name__, error)
'''


@pytest.fixture
def start(tmp_path):
    processes = []

    def start(outcome='builds', patience=60):
        command = [sys.executable, '-S', '-c', PROGRAM, str(ROOT), str(tmp_path), outcome, str(patience)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return processes[-1]
    yield start
    for process in processes:
        process.kill()
        process.wait()


def builders(tmp_path, count):
    """The processes that have begun to build, once there are so many."""
    while True:
        lines = (tmp_path / 'log').read_text().split() if (tmp_path / 'log').exists() else []
        if len(lines) >= count:
            return [int(line) for line in lines]
        time.sleep(.01)


def said(process):
    return process.communicate()[0].strip()


def left(tmp_path):
    return sorted(os.listdir(tmp_path / 'cache'))


def test_one_of_many_builds_and_all_have_it(start, tmp_path):
    processes = [start() for _ in range(4)]
    builders(tmp_path, 1)
    (tmp_path / 'go').touch()
    assert [said(process) for process in processes] == ['built'] * 4
    assert len(builders(tmp_path, 1)) == 1 and left(tmp_path) == ['thing']


def test_one_failure_is_enough_for_those_who_wait(start, tmp_path):
    first = start('fails')
    builders(tmp_path, 1)
    others = [start('builds') for _ in range(2)]
    while len(list_locks(tmp_path, others)) < 2:
        time.sleep(.01)
    (tmp_path / 'go').touch()
    assert said(first).startswith('OSError')
    assert {said(other) for other in others} == {'RuntimeError nvcc: error: no such thing'}
    assert left(tmp_path) == []
    assert said(start()) == 'built', 'a later process tries again'


def list_locks(tmp_path, processes):
    """Those of the processes that have opened the lock."""
    lock = os.stat(tmp_path / 'cache' / 'thing.lock')
    return [process for process in processes
            if any(os.path.samestat(os.stat(path), lock) for path in opened(process))]


def opened(process):
    folder = pathlib.Path(f'/proc/{process.pid}/fd')
    return [path for path in folder.iterdir() if path.exists()] if folder.exists() else []


def test_a_killed_builder_holds_nobody_up(start, tmp_path):
    victim = start()
    builders(tmp_path, 1)
    waiting = start()
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert builders(tmp_path, 2) == [victim.pid, waiting.pid]
    assert any(name.endswith('.part') for name in left(tmp_path))
    (tmp_path / 'go').touch()
    assert said(waiting) == 'built'
    assert left(tmp_path) == ['thing'], 'nor does it leave anything'


def test_patience_has_an_end_and_names_who_is_at_it(start, tmp_path):
    builder = start()
    builders(tmp_path, 1)
    words = said(start(patience=.2))
    assert words.startswith(f'TimeoutError process {builder.pid} on ')
    assert words.endswith('thing for 0.2 seconds')


def test_a_lock_from_a_machine_that_crashed_is_no_lock(tmp_path):
    (tmp_path / 'thing.lock').write_text('process 1 on elsewhere')
    made = []
    for _ in range(2):
        build_once(str(tmp_path / 'thing'), lambda output: made.append(output) or os.mkdir(output), 0)
    assert len(made) == 1 and os.listdir(tmp_path) == ['thing']


def test_a_folder_that_cannot_be_written_is_an_error_and_no_wait(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError):
        build_once(str(tmp_path / 'file' / 'thing'), os.mkdir)


@pytest.mark.parametrize('output, line', [
    ("Error building extension 'a': [1/2] nvcc -c a.cu\nFAILED: a.o\nnvcc -c a.cu\n"
     "nvcc fatal   : Unsupported gpu architecture 'compute_120'\nninja: build stopped",
     "nvcc fatal   : Unsupported gpu architecture 'compute_120'"),
    ('[1/2] c++ -c a.cpp\n/bin/sh: 1: c++: not found\nninja: build stopped', '/bin/sh: 1: c++: not found'),
    ('[1/2] c++ -Wfatal-errors -c a.cpp\na.cpp:3:1: error: expected }\n', 'a.cpp:3:1: error: expected }'),
    ('  nothing that is known \nelse', 'nothing that is known'), ('', 'RuntimeError')])
def test_of_much_output_the_line_that_says_what_is_wrong(output, line):
    assert one_line(RuntimeError(output)) == line
