"""The fuzzing program: three hundred damaged files are read or refused, and it sees what must not be."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]

# In a process of its own, because an audit hook stays for good.
SELF_TEST = '''
import os, subprocess, sys, time
from tools.fuzzing import guard as watching
guard = watching.Guard()

def refuse(words):
    raise ValueError(words)

def allocate(data):
    bytearray(b"x") * (600 << 20)

def hide(data):
    try:
        os.system("touch " + sys.argv[1])
    except Exception:
        pass

for read, expected in [
        (lambda data: None, "read"), (lambda data: refuse("one line"), "refused"),
        (lambda data: refuse(" "), "ValueError that says nothing"),
        (lambda data: data.nothing, "AttributeError"),
        (lambda data: os.system("touch " + sys.argv[1]), "Executed: os.system"),
        (hide, "Executed: os.system"),
        (lambda data: subprocess.Popen(["touch", sys.argv[1]]), "Executed: "),
        (lambda data: eval("1"), "Executed: compile"),
        (lambda data: open(sys.argv[1], "w"), "Executed: open"),
        (lambda data: __import__("antigravity"), "Executed: import"),
        (allocate, "memory"), (lambda data: time.sleep(5), "hang")]:
    watching.SECONDS = 1 if expected == "hang" else 20
    outcome = guard.watch(watching.Case("x", [], read), b"")
    assert outcome.startswith(expected), (outcome, expected)
    assert not os.path.exists(sys.argv[1])
'''


def run(*command):
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, 'OMP_NUM_THREADS': '1'})


def test_what_must_not_happen_is_seen(tmp_path):
    done = run('-c', SELF_TEST, str(tmp_path / 'executed'))
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_three_hundred_damaged_files():
    done = run('tools/fuzz.py', '--count=300', '--seed=2021')
    assert done.returncode == 0, done.stdout + done.stderr
    found = {(name, outcome): int(times) for name, outcome, times in map(str.split, done.stdout.splitlines())}
    assert sum(found.values()) == 300 and {outcome for _, outcome in found} == {'read', 'refused'}
    assert {name for name, _ in found} == {'pickle', 'pt', 'safetensors', 'diffusion', 'zip'}


def test_a_file_can_be_repeated_by_its_number():
    code = '''
import sys
from click.testing import CliRunner
from tools import fuzz
from tools.fuzzing.guard import Guard
seen, watch = [], Guard.watch
Guard.watch = lambda self, case, data: seen.append(data) or watch(self, case, data)
for options in (['--count=3'], ['--first=2', '--count=1'], ['--first=2', '--count=1', '--seed=1']):
    assert CliRunner().invoke(fuzz.main, options).exit_code == 0
assert len(seen) == 5 and seen[2] == seen[3] != seen[4]
'''
    done = run('-c', code)
    assert done.returncode == 0, done.stderr
