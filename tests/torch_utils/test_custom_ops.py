"""Choosing an implementation, and building an extension: once, whole, or refused in one sentence."""

import os
import shutil
import warnings

import pytest
import torch

from torch_utils import custom_ops
from torch_utils.ops import bias_act, upfirdn2d

SOURCE = r'''
#include <Python.h>
#include "answer.h"
#define JOIN(a, b) a##b
#define INIT(name) JOIN(PyInit_, name)
#define QUOTE(x) #x
#define TEXT(x) QUOTE(x)
static PyObject* answer(PyObject*, PyObject*) { return PyLong_FromLong(ANSWER); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, TEXT(TORCH_EXTENSION_NAME), "", -1, methods};
extern "C" __attribute__((visibility("default"))) PyObject* INIT(TORCH_EXTENSION_NAME)() {
    return PyModule_Create(&module);
}
'''


class OnCuda:
    """Stands in for a CUDA tensor where only its place is asked for."""
    device = torch.device('cuda')


def test_a_kernel_runs_only_where_it_can(monkeypatch):
    monkeypatch.setattr(custom_ops, '_kernels', {})
    def plain(): ...
    def kernel(): ...
    assert custom_ops.implementation('op', plain, OnCuda(), 'cuda') is plain, 'nothing compiled'
    custom_ops.register_kernel('op', kernel)
    assert custom_ops.implementation('op', plain, OnCuda(), 'cuda') is kernel
    assert custom_ops.implementation('op', plain, OnCuda(), 'ref') is plain
    assert custom_ops.implementation('op', plain, torch.ones(1), 'cuda') is plain
    assert custom_ops.implementation('other', plain, OnCuda(), 'cuda') is plain


def test_operators_fall_back_without_a_word(capsys):
    x, f = torch.randn(1, 2, 4, 6), upfirdn2d.setup_filter([1, 3, 3, 1])
    for run in (lambda impl: upfirdn2d.upsample2d(x, f, impl=impl),
                lambda impl: bias_act.bias_act(x, act='lrelu', impl=impl)):
        assert torch.equal(run('cuda'), run('ref'))
        with pytest.raises(AssertionError):
            run('fast')
    assert capsys.readouterr() == ('', '')


@pytest.fixture
def sources(tmp_path, monkeypatch):
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path / 'cache'))
    monkeypatch.setattr(custom_ops, '_plugins', {})
    (tmp_path / 'plugin.cpp').write_text(SOURCE)
    (tmp_path / 'answer.h').write_text('#define ANSWER 42\n')
    return [str(tmp_path / 'plugin.cpp')]


def builds(tmp_path):
    return os.listdir(tmp_path / 'cache' / 'plugins')


@pytest.mark.skipif(shutil.which('c++') is None, reason='no C++ compiler on this machine')
def test_a_plugin_is_built_once_per_content(sources, tmp_path, monkeypatch, capsys):
    plugin = custom_ops.get_plugin('answer_plugin', sources, extra_cflags=['-O0'])
    assert plugin.answer() == 42
    assert custom_ops.get_plugin('answer_plugin', sources, extra_cflags=['-O0']) is plugin
    assert capsys.readouterr().out == 'Setting up PyTorch plugin answer_plugin... Done.\n'
    assert len(builds(tmp_path)) == 1, 'no unfinished folder is left'

    monkeypatch.setattr(custom_ops, 'verbosity', 'none')
    monkeypatch.setattr(custom_ops, '_plugins', {})  # as in another process
    with monkeypatch.context() as no_compiler:
        no_compiler.setattr(custom_ops, '_build', None)
        assert custom_ops.get_plugin('answer_plugin', sources, extra_cflags=['-O0']).answer() == 42

    (tmp_path / 'answer.h').write_text('#define ANSWER 43\n')
    assert custom_ops.get_plugin('answer_plugin', sources, extra_cflags=['-O0']).answer() == 43
    assert len(builds(tmp_path)) == 2
    assert capsys.readouterr().out == ''


def test_what_cannot_be_built_is_one_sentence_and_leaves_nothing(sources, tmp_path, capsys):
    (tmp_path / 'plugin.cpp').write_text('#error this is no plugin\n')
    with pytest.raises(RuntimeError) as caught:
        custom_ops.get_plugin('broken_plugin', sources)
    message = str(caught.value)
    assert message.startswith('Plugin broken_plugin could not be built: ') and '\n' not in message
    assert builds(tmp_path) == []
    assert capsys.readouterr().out.endswith('Failed.\n')


def test_a_missing_source_is_named(sources):
    with pytest.raises((RuntimeError, OSError), match='nowhere.cu'):
        custom_ops.get_plugin('missing_plugin', ['nowhere.cu'])


@pytest.mark.skipif(shutil.which('c++') is None, reason='no C++ compiler on this machine')
def test_a_damaged_build_is_made_anew(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(custom_ops, 'verbosity', 'none')
    with monkeypatch.context() as unread:       # what a process has loaded it does not read again
        unread.setattr(custom_ops, '_load', lambda folder: None)
        custom_ops.get_plugin('answer_plugin', sources, extra_cflags=['-O0'])
    [library] = (tmp_path / 'cache').rglob('*.so')
    library.unlink()
    library.write_text('half a library')
    monkeypatch.setattr(custom_ops, '_plugins', {})  # as in another process
    with monkeypatch.context() as no_compiler:
        no_compiler.setattr(custom_ops, '_build', refuse)
        with pytest.raises(RuntimeError, match='no compiler today'):
            custom_ops.get_plugin('answer_plugin', sources, extra_cflags=['-O0'])
    assert builds(tmp_path) == []


def refuse(*args):
    raise OSError('no compiler today\nnor tomorrow')


def test_what_a_build_is_named_after(sources, tmp_path, monkeypatch):
    """Not where things lie; but what they are, and what they are built for."""
    (tmp_path / 'shared').mkdir()
    (tmp_path / 'shared' / 'shared.cuh').write_text('1')
    options = dict(extra_include_paths=[str(tmp_path / 'shared')], extra_cflags=['-O1'])
    name = lambda: custom_ops._fingerprint('plugin', sources, options)
    names = [name()]
    elsewhere = tmp_path / 'elsewhere'
    shutil.copytree(tmp_path, elsewhere, ignore=shutil.ignore_patterns('elsewhere', 'cache'))
    there = dict(options, extra_include_paths=[str(elsewhere / 'shared')])
    assert custom_ops._fingerprint('plugin', [str(elsewhere / 'plugin.cpp')], there) == names[0]

    (tmp_path / 'shared' / 'shared.cuh').write_text('2')
    names.append(name())
    options['extra_cflags'] = ['-O2']
    names.append(name())
    for place, attribute, value in (
            (torch, '__version__', '9.9'), (torch.version, 'cuda', '99.9'), (custom_ops, '_version', str),
            (torch.cuda, 'device_count', lambda: 1)):
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (9, 0))
        with monkeypatch.context() as patch:
            patch.setattr(place, attribute, value)
            names.append(name())
    assert len(set(names)) == len(names)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """CUDA kernels as in a new process, with torch built for CUDA and a compiler in a folder of its own."""
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path / 'cache'))
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    monkeypatch.setattr(custom_ops, '_warned', [])
    custom_ops._cuda_plugin.cache_clear()
    nvcc = tmp_path / 'nvcc'
    nvcc.write_text('#!/bin/sh\necho "kernels.cu(1): error: nothing is compiled here" >&2\nexit 1\n')
    nvcc.chmod(0o755)
    monkeypatch.setattr(custom_ops, '_nvcc', lambda: str(nvcc))
    yield nvcc
    custom_ops._cuda_plugin.cache_clear()


def ask(agrees=lambda plugin: True):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        plugins = [custom_ops.cuda_plugin(name, custom_ops.HEADERS, agrees)
                   for name in ('upfirdn2d', 'bias_act', 'upfirdn2d')]
    return plugins, [str(warning.message) for warning in caught]


def test_without_a_cuda_compiler_one_line_says_so(fresh, capsys):
    os.remove(fresh)
    plugins, [line] = ask()
    assert plugins == [None] * 3 and capsys.readouterr().out == ''
    assert line == ('CUDA kernels are not available (no nvcc found; '
                    'CUDA_HOME names the folder of a CUDA toolkit): running plain PyTorch, more slowly')


def test_a_compiler_that_fails_is_one_line_and_is_not_asked_again(fresh, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(custom_ops, 'verbosity', 'none')
    monkeypatch.setattr(custom_ops, '_build', lambda *args: asked.append(args) or refuse())
    plugins, [line] = ask()
    assert plugins == [None] * 3 and len(asked) == 2            # one time each
    assert 'no compiler today' in line and '\n' not in line
    assert os.listdir(tmp_path / 'cache' / 'plugins') == []


def test_kernels_that_compute_something_else_are_not_used(fresh, monkeypatch):
    monkeypatch.setattr(custom_ops, 'get_plugin', lambda *args, **kwargs: custom_ops)
    plugins, _ = ask()
    assert plugins == [custom_ops] * 3
    custom_ops._cuda_plugin.cache_clear()
    plugins, lines = ask(agrees=lambda plugin: False)
    assert plugins == [None] * 3 and 'those of upfirdn2d disagree with plain PyTorch' in lines[0]


def test_switched_off_no_kernel_is_built(fresh, monkeypatch):
    monkeypatch.setattr(custom_ops, 'enabled', False)
    assert ask() == ([None] * 3, [])
