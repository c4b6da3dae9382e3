"""Choosing an implementation, and building an extension: once, whole, or refused in one sentence."""

import os
import shutil

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
