"""The compiled CPU kernels against their plain versions: values, first and second derivatives, any shape."""

import itertools
import os

import numpy as np
import pytest
import torch

from stylegan2_mspe import ops
from stylegan2_mspe.ops import native
from stylegan2_mspe.pe import Canvas, Separable, sinusoidal
from torch_utils.ops import upfirdn2d

needs_compiler = pytest.mark.skipif(native.library() is None,
                                    reason='no C++ compiler on this machine: there are no kernels to compare')


@pytest.fixture
def plain(monkeypatch):
    """Calls a function with the kernels switched off."""
    def call(function, *args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr(native, 'enabled', False)
            return function(*args, **kwargs)
    return call


def arguments(count=2, channels=32, height=5, width=7, batched_noise=True, rows_first=True,
              dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(shape, generator=generator).requires_grad_()
    coordinates = Canvas.identity(8).extended(0, 0, 0, 2).coordinates(8)
    rows, cols, _ = sinusoidal(coordinates, channels, 8, rows_first=rows_first)
    encoding = Separable(rows[:, :, :height].float(), cols[:, :, :width].float(), rows_first)
    x = draw(count, channels, height, width).detach().to(dtype).requires_grad_()
    return dict(x=x, scale=draw(count, channels).detach().abs().requires_grad_(),
                noise=draw(count if batched_noise else 1, 1, height, width), bias=draw(channels),
                encoding=encoding, gamma=torch.tensor(.7).requires_grad_())


def test_the_definition_by_hand():
    x = torch.tensor([-2., 3., 1.]).reshape(1, 3, 1, 1)
    y = ops.epilogue(x, scale=torch.tensor([[1., 2., 1.]]), noise=torch.full([1, 1, 1, 1], .5),
                     bias=torch.tensor([0., 0., -2.]), slope=.2, gain=2, clamp=10)
    # (-2 + .5) * .2 * 2 = -.6;  (6 + .5) * 2 = 13 -> 10;  (1 + .5 - 2) * .2 * 2 = -.2
    assert torch.allclose(y.flatten(), torch.tensor([-.6, 10, -.2]))


PARTS = ('scale', 'noise', 'bias', 'encoding')


@needs_compiler
@pytest.mark.parametrize('given', [names for n in range(4) for names in itertools.combinations(PARTS, n)])
def test_epilogue_with_any_of_its_parts(given, plain):
    every = arguments()
    given += ('gamma',) if 'encoding' in given else ()
    compare(every['x'], {name: every[name] for name in given}, plain)


@needs_compiler
@pytest.mark.parametrize('case', [
    dict(count=1, height=1, width=1), dict(channels=64, height=8, width=3),
    dict(count=3, channels=96, height=2, width=9), dict(rows_first=False), dict(batched_noise=False)])
@pytest.mark.parametrize('clamp', [None, 1.0])
def test_epilogue_shapes(case, clamp, plain):
    every = arguments(**case)
    compare(every.pop('x'), dict(every, clamp=clamp, slope=.3, gain=1.7), plain)


@needs_compiler
@pytest.mark.parametrize('samples', [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize('rows_first', [True, False])
def test_epilogue_with_an_encoding_that_moves(samples, rows_first, plain):
    """As places that are searched for have."""
    every = arguments(rows_first=rows_first)
    halves = [half.expand(count, -1, -1).detach().clone().requires_grad_()
              for half, count in zip(every['encoding'], samples)]
    compare(every.pop('x'), dict(every, encoding=Separable(*halves, rows_first)), plain)


def compare(x, kwargs, plain):
    """Value, gradient, and the gradient of a function of the gradient."""
    leaves = [x, *(value for value in kwargs.values() if isinstance(value, torch.Tensor))]
    leaves += [half for half in kwargs.get('encoding', ())[:2] if half.requires_grad]
    results = []
    for call in (lambda f, *a, **k: f(*a, **k), plain):
        y = call(ops.epilogue, x, **kwargs)
        upstream = torch.linspace(-1, 1, y.numel()).reshape(y.shape).requires_grad_()
        once = call(torch.autograd.grad, y, leaves, upstream)
        again = call(ops.epilogue, x, **kwargs)
        slopes = call(torch.autograd.grad, again, leaves, upstream, create_graph=True)
        squares = sum(slope.square().sum() for slope in slopes)
        twice = call(torch.autograd.grad, squares, [*leaves, upstream], allow_unused=True)
        results.append([y, *once, *slopes, *(torch.zeros(()) if t is None else t for t in twice)])
    for ours, theirs in zip(*results):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.detach().abs().max()))


@needs_compiler
def test_epilogue_in_bfloat16_is_the_rounded_float32():
    every = arguments(channels=64)
    x = every.pop('x').detach().bfloat16()
    exact = ops.epilogue(x.float(), **every)
    rounded = ops.epilogue(x, **every)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, exact.bfloat16())           # one rounding, at the end
    assert rounded.is_contiguous(memory_format=torch.channels_last)


@needs_compiler
def test_nan_and_infinity_come_through():
    x = torch.zeros(1, 16, 1, 4, dtype=torch.bfloat16)
    x[0, 3] = torch.tensor([float('nan'), float('inf'), -float('inf'), 3e38])
    nan, plus, minus, large = ops.epilogue(x, gain=1)[0, 3, 0]
    assert nan.isnan() and plus == float('inf') and minus == -float('inf') and large.isfinite()
    assert torch.equal(ops.epilogue(x, gain=1, clamp=2)[0, 3, 0, 1:3].float(), torch.tensor([2., -2.]))


@needs_compiler
@pytest.mark.parametrize('clamp', [None, 1.5])
def test_gradients_at_the_clamp_and_beyond_every_number(clamp, plain):
    x = torch.zeros(1, 16, 1, 5)
    x[0, 0, 0] = torch.tensor([1.5, -1.5, float('inf'), 0, float('nan')])
    x.requires_grad_()
    ours, = torch.autograd.grad(ops.epilogue(x, gain=1, slope=1, clamp=clamp).sum(), x)
    theirs, = torch.autograd.grad(plain(ops.epilogue, x, gain=1, slope=1, clamp=clamp).sum(), x)
    assert torch.equal(ours, theirs)


@needs_compiler
@pytest.mark.parametrize('shape', [(2, 32, 5, 7), (1, 16, 1, 1), (3, 48, 33, 20)])
def test_modulate(shape, plain):
    generator = torch.Generator().manual_seed(1)
    x, styles = (torch.randn(size, generator=generator).requires_grad_() for size in (shape, shape[:2]))
    upstream = torch.randn(shape, generator=generator)
    for call in (lambda f, *a, **k: f(*a, **k), plain):
        y = call(ops.modulate, x, styles)
        slopes = call(torch.autograd.grad, y, (x, styles), upstream, create_graph=True)
        twice = call(torch.autograd.grad, slopes[0].square().sum() + slopes[1].square().sum(), (x, styles))
        expected = x * styles[:, :, None, None]
        assert torch.allclose(y, expected)
        assert torch.allclose(slopes[0], upstream * styles[:, :, None, None])
        assert torch.allclose(slopes[1], (upstream * x).sum((2, 3)), rtol=1e-4, atol=1e-4)
        by_hand = (upstream * 2 * slopes[1][:, :, None, None],
                   (2 * upstream.square() * styles[:, :, None, None]).sum((2, 3)))
        assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(twice, by_hand))
    once = torch.autograd.grad(ops.modulate(x, styles), (x, styles), upstream)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(once, slopes))


@needs_compiler
@pytest.mark.parametrize('case', [
    dict(up=2, padding=[2, 1, 2, 1], gain=4), dict(up=[2, 1], down=[1, 3], padding=3),
    dict(up=[1, 3], padding=[-1, 2, 4, -2]), dict(up=2, padding=[1, -2, 0, 3], flip_filter=True),
    dict(padding=2), dict(down=2, padding=1), dict(down=[3, 2], padding=[0, 2, -1, 1]),
    dict(padding=[1, 9, 0, 8])])
@pytest.mark.parametrize('taps', [[1, 3, 3, 1], [[1, 2, 4], [2, 4, 8]], [1, -2, 5]])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_resampling(case, taps, dtype, monkeypatch):
    f = upfirdn2d.setup_filter(taps)
    x = torch.randn(2, 24, 6, 9, generator=torch.Generator().manual_seed(0))
    x = x.to(dtype).contiguous(memory_format=torch.channels_last)
    called = []
    monkeypatch.setattr(upfirdn2d, 'plain_upfirdn2d', lambda *a: called.append(a))
    ours = upfirdn2d.upfirdn2d(x, f, **case)
    monkeypatch.undo()
    theirs = upfirdn2d.upfirdn2d(x.float(), f, impl='ref', **case)
    assert not called and ours.dtype == dtype and ours.is_contiguous(memory_format=torch.channels_last)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    assert (ours.float() - theirs).abs().max() <= tolerance * theirs.abs().max()


def test_filters_that_are_no_product_are_left_to_the_plain_version():
    assert upfirdn2d.separate(((1., 2.), (2., 5.))) is None
    vertical, horizontal = upfirdn2d.separate(((2., 4.), (3., 6.)))
    assert np.allclose(np.outer(vertical, horizontal), [[2, 4], [3, 6]])


def test_what_the_kernels_do_not_take_goes_to_the_plain_version():
    double = torch.zeros(2, 32, 4, 4, dtype=torch.float64)
    for x in (torch.zeros(0, 32, 4, 4), torch.zeros(2, 3, 4, 4), double):
        assert ops.epilogue(x, bias=torch.ones(x.shape[1], dtype=x.dtype), gain=1).shape == x.shape
        assert ops.modulate(x, torch.ones(x.shape[:2], dtype=x.dtype)).dtype == x.dtype


def test_without_a_compiler_one_line_says_so(monkeypatch):
    monkeypatch.setenv('CXX', os.path.join(os.sep, 'no', 'such', 'compiler'))
    with pytest.warns(UserWarning, match='CPU kernels are not available') as warned:
        assert native._library.__wrapped__() is None
    assert len(warned) == 1 and '\n' not in str(warned[0].message)


def test_a_failing_compiler_leaves_nothing_behind(monkeypatch, tmp_path):
    compiler = tmp_path / 'c++'
    compiler.write_text('#!/bin/sh\necho "line 1: no" >&2\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv('CXX', str(compiler))
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path / 'cache'))
    with pytest.raises(OSError, match='line 1: no'):
        native.build()
    assert [path for path in (tmp_path / 'cache').rglob('*') if path.is_file()] == []


def test_noise_of_another_size_is_not_read():
    with pytest.raises(AssertionError, match='4, 6.*4, 8'):
        ops.epilogue(torch.zeros([2, 16, 4, 8]), noise=torch.zeros([2, 1, 4, 6]))
