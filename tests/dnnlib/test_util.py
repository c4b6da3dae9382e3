"""dnnlib.util: dictionaries, names, files, the logger. Downloads have a file of their own."""

import copy
import ctypes
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import dnnlib
from dnnlib import util


def test_importing_it_is_cheap():
    code = 'import dnnlib, sys; print([m for m in ("torch", "numpy", "requests") if m in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == '[]\n'
    assert dnnlib.EasyDict is util.EasyDict and dnnlib.make_cache_dir_path is util.make_cache_dir_path


def test_easy_dict():
    d = dnnlib.EasyDict(a=1)
    d.b = [2]
    assert d == {'a': 1, 'b': [2]} and d.b is d['b'] and isinstance(d, dict)
    del d.a
    assert 'a' not in d and not hasattr(d, 'a')
    for action in (lambda: d.a, lambda: delattr(d, 'a')):
        with pytest.raises(AttributeError, match='a'):
            action()
    for other in (pickle.loads(pickle.dumps(d)), copy.deepcopy(d)):
        assert type(other) is dnnlib.EasyDict and other == d and other.b is not d.b


@pytest.mark.parametrize('seconds, text', [
    (0, '0s'), (59.4, '59s'), (59.6, '1m 00s'), (185, '3m 05s'), (3600, '1h 00m 00s'), (7385, '2h 03m 05s'),
    (86400 + 7380, '1d 02h 03m')])
def test_format_time(seconds, text):
    assert util.format_time(seconds) == text


def test_ask_yes_no(monkeypatch, capsys):
    for answers, result in ((['maybe', 'Yes'], True), (['', 'n'], False)):
        answers = iter(answers)
        monkeypatch.setattr('builtins.input', lambda question: next(answers))
        assert util.ask_yes_no('Sure?') is result


def test_small_things():
    assert util.tuple_product((2, 3, 4)) == 24 and util.tuple_product(()) == 1
    assert util.get_dtype_and_ctype('float32') == (np.dtype('float32'), ctypes.c_float)
    assert util.get_dtype_and_ctype(np.uint8) == (np.dtype('uint8'), ctypes.c_ubyte)
    with pytest.raises(ValueError, match='complex'):
        util.get_dtype_and_ctype('complex64')
    assert util.is_pickleable([1, 'a']) and not util.is_pickleable(lambda: 0)


def test_objects_by_name():
    assert util.get_obj_by_name('dnnlib.util.EasyDict.__getattr__') is util.EasyDict.__getattr__
    assert util.get_module_from_obj_name('os.path.join') == (os.path, 'join')
    assert util.call_func_by_name('a', 'b', func_name='os.path.join') == os.path.join('a', 'b')
    assert util.construct_class_by_name([('x', 1)], class_name='dnnlib.EasyDict', y=2) == {'x': 1, 'y': 2}
    assert util.is_top_level_function(util.format_time) and not util.is_top_level_function(lambda: 0)
    assert not util.is_top_level_function(util.EasyDict)
    assert util.get_top_level_function_name(util.format_time) == 'dnnlib.util.format_time'


@pytest.mark.parametrize('name', ['nothing.at.all', 'dnnlib.util.nothing', 'dnnlib.nothing.EasyDict', 'word'])
def test_names_of_nothing(name):
    with pytest.raises(ImportError):
        util.get_obj_by_name(name)


def test_a_module_that_fails_to_import_its_own_needs_says_so(tmp_path, monkeypatch):
    (tmp_path / 'needy_module.py').write_text('import not_installed_anywhere\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match='not_installed_anywhere'):
        util.get_obj_by_name('needy_module.thing')


def test_listing_and_copying(tmp_path):
    root = tmp_path / 'root'
    for name in ('b.py', 'a.txt', 'sub/c.py', 'sub/c.pyc', '__pycache__/d.py'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    ignores = ['__pycache__', '*.pyc']
    found = util.list_dir_recursively_with_ignore(str(root), ignores, add_base_to_relative=True)
    assert [relative for _, relative in found] == ['root/a.txt', 'root/b.py', 'root/sub/c.py']
    assert util.list_dir_recursively_with_ignore(str(root), ['*'])[:1] == []
    util.copy_files_and_create_dirs([(path, str(tmp_path / 'copy' / relative)) for path, relative in found])
    assert (tmp_path / 'copy/root/sub/c.py').read_text() == 'sub/c.py'


def test_logger_copies_what_is_printed(tmp_path, capsys):
    streams = sys.stdout, sys.stderr
    with util.Logger(str(tmp_path / 'log.txt')) as logger:
        print('one')
        print('two', file=sys.stderr)
        assert (tmp_path / 'log.txt').read_text() == 'one\ntwo\n', 'at once'
        assert not sys.stdout.isatty() and logger is sys.stdout
    assert (sys.stdout, sys.stderr) == streams
    print('three')
    assert (tmp_path / 'log.txt').read_text() == 'one\ntwo\n'
    assert capsys.readouterr().out == 'one\ntwo\nthree\n'
    with util.Logger(str(tmp_path / 'log.txt'), file_mode='a', should_flush=False):
        print('four')
    assert (tmp_path / 'log.txt').read_text() == 'one\ntwo\nfour\n'


def test_cache_folder(monkeypatch):
    monkeypatch.delenv('DNNLIB_CACHE_DIR', raising=False)
    monkeypatch.setattr(util, '_cache_dir', None)
    assert util.make_cache_dir_path('a', 'b') == os.path.expanduser('~/.cache/dnnlib/a/b')
    monkeypatch.setenv('DNNLIB_CACHE_DIR', '/elsewhere')
    assert util.make_cache_dir_path('a') == '/elsewhere/a'
    util.set_cache_dir('/third')
    assert util.make_cache_dir_path() == '/third'


@pytest.mark.parametrize('url, plain, with_files', [
    ('http://host/x', True, True), ('https://host.org:80/x?y=1', True, True),
    ('http://127.0.0.1:5/x', True, True), ('file:///tmp/x', False, True), ('/tmp/x', False, False),
    ('C:\\x', False, False), ('http://', False, False), ('ftp://host/x', False, False), (3, False, False)])
def test_is_url(url, plain, with_files):
    assert util.is_url(url) is plain and util.is_url(url, allow_file_urls=True) is with_files
