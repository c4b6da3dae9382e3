"""The CUDA kernels as they are, compiled for this CPU, and tensors that show what is touched beside them."""

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import pathlib
import shutil
import subprocess
import sysconfig

import torch

import dnnlib
from torch_utils import custom_ops
from torch_utils.build_once import build_once

ROOT = pathlib.Path(__file__).parents[1]
SHARED, SHIMS = ROOT / 'torch_utils' / 'ops' / 'cuda', ROOT / 'tests' / 'cuda_on_host'
FOLDERS = dict(upfirdn2d=SHARED, bias_act=SHARED, epilogue=ROOT / 'stylegan2_mspe' / 'ops' / 'cuda')
COMPILER = shutil.which('g++')


@functools.cache
def plugin(name):
    """The extension module that nvcc would make, from the same files."""
    sources = [FOLDERS[name] / f'{name}.{suffix}' for suffix in ('cu', 'cpp', 'h')]
    headers = sorted([*SHARED.glob('*.*h'), *SHIMS.iterdir()])
    content = b''.join(path.read_bytes() for path in [*sources, *headers])
    key = hashlib.sha256(content).hexdigest()[:16]
    target = dnnlib.make_cache_dir_path('plugins', f'{name}_on_host-{key}.so')
    includes = [f'-I{folder}' for folder in (sysconfig.get_path('include'), SHIMS, SHARED, FOLDERS[name])]
    options = ['-std=c++17', '-O1', '-shared', '-fPIC', '-Wall', '-Wextra', '-Werror', '-Wno-unknown-pragmas',
               '-Wno-missing-field-initializers', f'-DTORCH_EXTENSION_NAME={name}']
    command = [COMPILER, *options, *includes, '-x', 'c++', *map(str, sources[:2])]
    build_once(target, lambda output: subprocess.run([*command, '-o', output], check=True))
    spec = importlib.util.spec_from_file_location(name, target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def kernels(monkeypatch):
    """Within it the CUDA kernels run on tensors of the CPU; whatever they write beside their own is found."""
    from torch_utils.ops import bias_act, upfirdn2d
    chosen = {('upfirdn2d', 'cpu'): upfirdn2d.cuda_upfirdn2d, ('bias_act', 'cpu'): bias_act.cuda_bias_act}
    epilogue = importlib.import_module('stylegan2_mspe.ops.epilogue')
    buffers = []
    with monkeypatch.context() as patch:
        patch.setattr(custom_ops, '_kernels', chosen)
        patch.setattr(custom_ops, '_cuda_plugin', lambda name, *rest: plugin(name))
        patch.setattr(epilogue, 'epilogue_cpu', epilogue.epilogue_cuda)
        patch.setattr(torch, 'empty', functools.partial(_fenced, torch.empty, buffers))
        patch.setattr(torch, 'empty_like', functools.partial(_fenced, torch.empty_like, buffers))
        yield
    for before, after in buffers:
        assert (before == MARK).all() and (after == MARK).all(), 'written beside the result'


FENCE, MARK = 64, 7.0


def _fenced(make, buffers, *args, **kwargs):
    model = make(*args, **kwargs)
    result, before, after = _within(model, MARK, FENCE)
    buffers.append((before, after))
    return result


def _within(model, mark, offset):
    """A tensor like the model amid a larger one of marks, and what lies before and after it."""
    size = model.untyped_storage().nbytes() // model.element_size()
    buffer = torch.full([size + 2 * offset], mark, dtype=model.dtype)
    return buffer.as_strided(model.shape, model.stride(), offset), buffer[:offset], buffer[offset + size:]


def surrounded(x, aligned=True):
    """x amid NaN, a leaf: a result that anything beside it went into is NaN, too."""
    result, *_ = _within(x, float('nan'), FENCE if aligned else FENCE + 1)
    return result.copy_(x.detach()).detach().requires_grad_(x.is_floating_point())
