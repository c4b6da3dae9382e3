"""Every command of README.md, docs/ and the cards of the networks is understood by the program it names, and
README's Python does what it says.
"""

import importlib
import pathlib
import re
import shlex
import shutil

import click
import pytest

from stylegan2_mspe.config import PRESET_NAMES
from stylegan2_mspe.default_network import bundled_role
from stylegan2_mspe.metrics import registry
from stylegan2_mspe.pe import registry as plans
from tools import reproduce

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted(ROOT.glob('docs/*.md')), *sorted(ROOT.glob('*/pretrained/README.md'))]
VARIABLES = {'data': 'x', 'cfg': 'mspe', 'networks': '--network=mspe=x.pkl'}   # of the loops there


def commands(text: str) -> list[tuple[str, list[str]]]:
    """(program, arguments) of each `python PROGRAM.py …` of the shell's blocks."""
    blocks = '\n'.join(re.findall(r'^```sh\n(.*?)^```', text, re.DOTALL | re.MULTILINE))
    lines = re.sub(r'\s*\\\n\s*', ' ', blocks).splitlines()
    found = [re.search(r'(?:python|torchrun .*?) ([\w/]+\.py)( .*)?$', line) for line in lines]
    known = lambda text: re.sub(r'\$(\w+)', lambda name: VARIABLES[name[1]], text or '')
    return [(match[1], shlex.split(known(match[2]), comments=True)) for match in found if match]


def understood(program: click.Command, arguments: list[str]) -> dict:
    """The options as the program, or one of its experiments, reads them. Raises click's errors."""
    if isinstance(program, click.Group):
        program, arguments = program.commands[arguments[0]], arguments[1:]
    return program.make_context('program', list(arguments)).params


def test_what_is_wrong_is_seen():
    text = '```sh\nfor cfg in a; do\n  python tools/reproduce.py fig1 \\\n    --seeds=3  # few\ndone\n```'
    [(program, arguments)] = commands(text)
    assert (program, arguments) == ('tools/reproduce.py', ['fig1', '--seeds=3'])
    assert understood(reproduce.main, arguments)['seeds'] == 3
    for wrong in (['fig1', '--seed=3'], ['fig1', '--seeds=few'], ['table1']):
        with pytest.raises(click.UsageError):
            understood(reproduce.main, wrong)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: '-'.join(page.relative_to(ROOT).parts))
def test_commands(page):
    for program, arguments in commands(page.read_text(encoding='utf-8')):
        module = importlib.import_module(f'tools.{pathlib.Path(program).stem}')
        assert (ROOT / program).is_file(), program
        options = understood(module.main, arguments)
        if program == 'train.py':
            assert options['cfg'] in (None, *PRESET_NAMES), arguments
        for metric in options.get('metrics') or ():
            registry.parse(metric)


def test_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plans, '_plans', dict(plans._plans))
    shutil.copy(bundled_role('baseline'), 'cats.pkl')
    names = {}
    for block in re.findall(r'^```python\n(.*?)^```', PAGES[0].read_text(encoding='utf-8'), re.DOTALL | re.M):
        exec(block, names)
    assert names['picture'].shape == (3, 64, 128) and (tmp_path / 'wide.png').is_file()
    assert names['G'].z_dim == 64 and plans.get_plan('coarse-half').added(3)
