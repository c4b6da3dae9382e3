"""The CUDA kernels, compiled for a CPU, against the plain operators: values, first and second derivatives."""

import contextlib
import itertools
import types

import pytest
import torch

from stylegan2_mspe import networks, ops
from stylegan2_mspe.pe import Separable
from tests import compiled_on_host
from tests.compiled_on_host import surrounded
from tests.golden import fill
from torch_utils import custom_ops
from torch_utils.ops import bias_act, upfirdn2d

pytestmark = pytest.mark.skipif(compiled_on_host.COMPILER is None,
                                reason='no g++ on this machine to make the kernels run on a CPU')

LAYOUTS = torch.contiguous_format, torch.channels_last
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@pytest.fixture
def on_host(monkeypatch):
    return lambda: compiled_on_host.kernels(monkeypatch)


@pytest.fixture(params=['forward', 'reversed'])
def in_any_order(request, monkeypatch, on_host):
    """With the threads of a block in either order: of kernels that have barriers."""
    if request.param == 'reversed':
        monkeypatch.setenv('CUDA_ON_HOST_REVERSED', '1')
    return on_host


def numbers(*shape, dtype=torch.float32, layout=torch.contiguous_format, seed=0, aligned=True):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    return surrounded(x.contiguous(memory_format=layout) if x.ndim == 4 else x, aligned)


def close(ours, theirs, dtype):
    scale = theirs.detach().abs().max().clamp(min=1) if theirs.numel() else 1
    return (ours - theirs).abs().le(TOLERANCES[dtype] * scale).all()        # NaN is not


def compare(function, plain, leaves, on_host, dtype, layout=None):
    """Value, gradients, and the gradients of a function of the gradients."""
    results = []
    for run, context in ((function, on_host()), (plain, torch.enable_grad())):
        with context:
            y = run()
            upstream = torch.linspace(-1, 1, y.numel(), dtype=dtype).reshape(y.shape).requires_grad_()
            once = torch.autograd.grad(y, leaves, upstream, retain_graph=True)
            slopes = torch.autograd.grad(y, leaves, upstream, create_graph=True)
            total = sum((slope * torch.linspace(.5, 1, slope.numel(), dtype=slope.dtype).reshape(slope.shape)
                         ).square().sum() for slope in slopes)
            twice = torch.autograd.grad(total, [*leaves, upstream], allow_unused=True)
            zero = torch.zeros((), dtype=dtype)
            results.append([y, *once, *slopes, *(zero if t is None else t for t in twice)])
    for place, (ours, theirs) in enumerate(zip(*results)):
        assert ours.dtype == theirs.dtype and close(ours, theirs, dtype), place
    if layout is not None:
        assert results[0][0].is_contiguous(memory_format=layout)


# ---- upfirdn2d ----

USUAL = [dict(up=1, down=1, padding=[1, 2, 2, 1]), dict(up=2, down=1, padding=[2, 1, 2, 1], gain=4),
         dict(up=1, down=2, padding=[1, 1, 2, 0]), dict(up=2, padding=[3, -1, 1, 2], flip_filter=True),
         dict(up=1, padding=[-1, 3, 4, -2]), dict(down=2, padding=[-2, 5, 0, 3])]
OTHERS = [([1, 3, 3, 1], dict(up=[2, 1], down=[1, 3], padding=3)),
          ([[1, 2, 4], [2, 4, 9]], dict(up=3, padding=-1)),
          (list(range(1, 13)), dict(up=2, padding=[7, 6, 5, 8])),
          ([[1, 2, 5, 3]] * 2 + [[0, 1, 0, 2]] * 2, dict()),
          ([1, 3, 3, 1], dict(up=2, down=2, padding=4)), (None, dict(padding=[2, -1, 3, 0]))]


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('taps, case', [([1, 2, 4, 3], case) for case in USUAL] + OTHERS)
def test_upfirdn2d(taps, case, dtype, layout, on_host):
    f = upfirdn2d.setup_filter(taps)
    x = numbers(2, 8, 11, 9, dtype=dtype, layout=layout)
    precise = x.detach().to(torch.promote_types(dtype, torch.float32))
    with on_host():
        ours = upfirdn2d.upfirdn2d(x, f, **case)
    theirs = upfirdn2d.upfirdn2d(precise, f, impl='ref', **case)
    assert ours.dtype == dtype and ours.is_contiguous(memory_format=layout)
    assert close(ours, theirs, dtype)


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('taps, case', [([1, 2, 4, 3], case) for case in USUAL[:4]] + OTHERS[:2])
def test_gradients_of_upfirdn2d(taps, case, dtype, layout, on_host):
    f = upfirdn2d.setup_filter(taps)
    x = numbers(1, 8, 5, 7, dtype=dtype, layout=layout)
    compare(lambda: upfirdn2d.upfirdn2d(x, f, **case), lambda: upfirdn2d.upfirdn2d(x, f, impl='ref', **case),
            [x], on_host, dtype, layout)


@pytest.mark.parametrize('shape', [(1, 1, 1, 1), (3, 1, 8, 40), (2, 3, 17, 2), (1, 64, 2, 35),
                                   (300, 1, 2, 2)])
def test_shapes_of_upfirdn2d(shape, on_host):
    f = upfirdn2d.setup_filter([1, 3, 3, 1])
    for layout, run in itertools.product(LAYOUTS, (upfirdn2d.upsample2d, upfirdn2d.filter2d)):
        x = numbers(*shape, layout=layout, aligned=False)
        with on_host():
            ours = run(x, f)
        assert close(ours, run(x, f, impl='ref'), torch.float32)


def test_a_filter_is_read_once_and_again_when_it_has_changed(on_host, monkeypatch):
    read = []
    separate = upfirdn2d.separate
    monkeypatch.setattr(upfirdn2d, 'separate', lambda taps: read.append(taps) or separate(taps))
    f, x = upfirdn2d.setup_filter([1, 3, 3, 1]), numbers(1, 4, 6, 8)
    with on_host():
        for _ in range(2):
            upfirdn2d.upsample2d(x, f).sum().backward()
        assert len(read) == 2           # as it is, and flipped for the gradient
        f.mul_(2)
        ours = upfirdn2d.upsample2d(x, f)
    assert len(read) == 3
    assert close(ours, upfirdn2d.upsample2d(x, f, impl='ref'), torch.float32)


# ---- bias_act ----

SETTINGS = [dict(), dict(alpha=0.3, gain=1.7, clamp=0.5), dict(gain=-2.0), dict(alpha=-0.5), dict(clamp=0.8)]


@pytest.mark.parametrize('act', bias_act.activation_funcs)
@pytest.mark.parametrize('settings', SETTINGS)
def test_bias_act(act, settings, on_host):
    for layout, dtype in zip(LAYOUTS * 2, [torch.float32] * 2 + [torch.float64] * 2):
        x, b = numbers(2, 8, 3, 5, dtype=dtype, layout=layout), numbers(8, dtype=dtype, seed=1)
        x.data.mul_(3)
        given = [x] if settings == dict(clamp=0.8) else [x, b]
        run = lambda impl: bias_act.bias_act(*given, act=act, impl=impl, **settings)
        compare(lambda: run('cuda'), lambda: run('ref'), given, on_host, dtype, layout)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('act', ['linear', 'lrelu', 'swish'])
def test_bias_act_in_reduced_precision(act, dtype, on_host):
    for layout in LAYOUTS:
        x, b = numbers(3, 24, 7, 5, dtype=dtype, layout=layout), numbers(24, seed=1)
        with on_host():
            y = bias_act.bias_act(x, b, act=act, gain=2)
            gx, gb = torch.autograd.grad(y.float().square().sum(), [x, b])
        exact = x.detach().float().requires_grad_()
        expected = bias_act.bias_act(exact, b.to(dtype).float(), act=act, gain=2, impl='ref')
        assert y.dtype == gx.dtype == dtype and gb.dtype == torch.float32
        assert torch.equal(y, expected.to(dtype)) or act == 'swish' and close(y, expected, dtype)
        assert close(gx, torch.autograd.grad(expected.square().sum(), exact)[0], dtype)


@pytest.mark.parametrize('shape, dim', [((5, 7), 1), ((5, 7), 0), ((13,), 0), ((2, 3, 4), 2),
                                        ((1, 1, 3, 3), 1)])
def test_bias_act_along_any_dimension(shape, dim, on_host):
    for aligned in (True, False):
        x, b = numbers(*shape, aligned=aligned), numbers(shape[dim], seed=1)
        run = lambda impl: bias_act.bias_act(x, b, dim=dim, act='lrelu', clamp=1.5, impl=impl)
        compare(lambda: run('cuda'), lambda: run('ref'), [x, b], on_host, torch.float32)


def test_the_third_derivative_of_bias_act(on_host):
    x, b = numbers(4, 3, dtype=torch.float64), numbers(3, dtype=torch.float64, seed=1)
    with on_host():
        assert torch.autograd.gradgradcheck(
            lambda x, b: torch.autograd.grad(bias_act.bias_act(x, b, act='tanh').square().sum(), x,
                                             create_graph=True)[0], [x, b], atol=1e-4)


# ---- Epilogue ----

def arguments(count=2, channels=32, height=5, width=7, batched=True, rows_first=True, dtype=torch.float32,
              layout=torch.contiguous_format, aligned=True):
    small = torch.float64 if dtype == torch.float64 else torch.float32
    samples = count if batched else 1
    encoding = Separable(numbers(samples, channels // 2, height, dtype=dtype, seed=5).detach(),
                         numbers(1, channels // 2, width, dtype=dtype, seed=6).detach(), rows_first)
    return dict(x=numbers(count, channels, height, width, dtype=dtype, layout=layout, aligned=aligned),
                scale=surrounded(numbers(count, channels, dtype=small, seed=1).abs()),
                noise=numbers(samples, 1, height, width, dtype=small, seed=2),
                bias=numbers(channels, dtype=small, seed=3), encoding=encoding,
                gamma=torch.tensor(.7, dtype=small).requires_grad_())


def compare_epilogue(given, on_host, **config):
    given = dict(given)
    x, layout = given['x'], ops.epilogue_cuda.layout(given['x'])
    leaves = [value for value in given.values() if isinstance(value, torch.Tensor)]
    encoding = given.pop('encoding', None)
    halves = (None, None, True) if encoding is None else encoding
    leaves += [half for half in halves[:2] if half is not None and half.requires_grad]
    tensors = [given.get(name) for name in ('x', 'scale', 'noise', 'bias', 'gamma')]
    config = dict(dict(slope=.2, gain=1.5, clamp=None), **config)
    ours = lambda: ops.epilogue(**given, encoding=encoding, **config)
    plain = lambda: ops.plain_epilogue(*tensors, *halves[:2], (halves[2], *config.values()))
    compare(ours, plain, leaves, on_host, x.dtype, layout)


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('case', [
    dict(), dict(width=8), dict(count=1, height=1, width=1), dict(channels=6),
    dict(channels=80, height=2, width=4), dict(rows_first=False, width=8), dict(batched=False),
    dict(aligned=False), dict(count=3, height=9, width=24)])
def test_epilogue(case, dtype, layout, in_any_order):
    compare_epilogue(arguments(dtype=dtype, layout=layout, **case), in_any_order, clamp=1.0)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_epilogue_with_an_encoding_that_moves(layout, on_host):
    """As places that are searched for have."""
    every = arguments(width=8, layout=layout)
    rows, cols, rows_first = every['encoding']
    moving = Separable(rows.clone().requires_grad_(), cols.clone().requires_grad_(), rows_first)
    compare_epilogue(dict(every, encoding=moving), on_host, clamp=1.0)


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('given', [names for n in range(4) for names in
                                   itertools.combinations(('scale', 'noise', 'bias', 'encoding'), n)])
def test_epilogue_with_any_of_its_parts(given, layout, on_host):
    every = arguments(channels=8, width=8, layout=layout)
    given += ('x', 'gamma') if 'encoding' in given else ('x',)
    compare_epilogue({name: every[name] for name in given}, on_host, slope=1.0)


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_epilogue_in_reduced_precision_is_the_rounded_float32(dtype, layout, on_host):
    every = arguments(channels=48, width=8, dtype=dtype, layout=layout)
    precise = dict(every, x=every['x'].detach().float().requires_grad_(),
                   encoding=every['encoding']._replace(rows=every['encoding'].rows.float(),
                                                       cols=every['encoding'].cols.float()))
    results = []
    with on_host():
        for given in (every, precise):
            y = ops.epilogue(**given, clamp=2)
            leaves = [value for value in given.values() if torch.is_tensor(value)]
            upstream = torch.linspace(-1, 1, y.numel()).reshape(y.shape).to(dtype).to(y.dtype)
            results.append([y, *torch.autograd.grad(y, leaves, upstream)])
    for ours, theirs in zip(*results):
        assert ours.dtype in (dtype, torch.float32)
        assert torch.allclose(ours, theirs.to(ours.dtype), 1e-5, 1e-4)
    assert torch.equal(results[0][0], results[1][0].to(dtype))          # one rounding, at the end


def test_the_third_derivative_of_the_epilogue(on_host):
    every = arguments(count=1, channels=4, height=2, width=3, dtype=torch.float64)
    encoding, (x, scale) = every['encoding'], (every['x'], every['scale'])
    with on_host():
        def slopes(x, scale):
            y = ops.epilogue(x, scale, every['noise'], every['bias'], encoding, slope=.2)
            return torch.autograd.grad(y.square().sum(), [x, scale], create_graph=True)
        assert torch.autograd.gradgradcheck(slopes, [x, scale], atol=1e-4)


def test_modulation_is_an_epilogue_of_scales_alone(on_host):
    for layout in LAYOUTS:
        x, styles = numbers(2, 12, 5, 7, layout=layout), numbers(2, 12, seed=1)
        ours = lambda: ops.epilogue(x, scale=styles, slope=1, gain=1)
        compare(ours, lambda: ops.plain_modulate(x, styles), [x, styles], on_host, torch.float32, layout)


def test_the_encoding_of_a_canvas_is_arranged_once(on_host):
    every = arguments(batched=False, layout=torch.channels_last)
    kept = ops.epilogue_cuda._kept
    with on_host():
        ops.epilogue(**every)
        before = kept.cache_info().misses
        ops.epilogue(**every).sum().backward()
    assert kept.cache_info().misses == before


def test_nan_and_infinity_come_through(on_host):
    x = torch.tensor([float('nan'), float('inf'), -float('inf'), 3e38]).reshape(1, 1, 1, 4)
    with on_host():
        for run in (ops.epilogue, lambda x, **k: bias_act.bias_act(x, act='lrelu', **k)):
            nan, plus, minus, large = run(x, gain=1)[0, 0, 0]
            assert nan.isnan() and plus == float('inf') and minus == -float('inf') and large > 0
            assert torch.equal(run(x, gain=1, clamp=2)[0, 0, 0, 1:], torch.tensor([2., -2., 2.]))


@pytest.mark.parametrize('shape', [(0, 8, 4, 4), (2, 0, 4, 4)])
def test_nothing_is_launched_for_nothing(shape, on_host):
    x = torch.zeros(shape, requires_grad=True)
    with on_host():
        y = upfirdn2d.upsample2d(x, upfirdn2d.setup_filter([1, 3, 3, 1]))
        y = ops.epilogue(y, bias=torch.ones(shape[1]))
        y = bias_act.bias_act(y, torch.ones(shape[1]), act='swish')
        y.sum().backward()
    assert y.shape == (*shape[:2], 8, 8) and x.grad.shape == x.shape


def test_what_lies_on_another_device_or_is_too_small_is_not_read(on_host, monkeypatch):
    x, b, f = numbers(1, 8, 6, 8), torch.ones(8, device='meta'), torch.ones(4, 4, device='meta')
    monkeypatch.setattr(compiled_on_host, 'plugin', lambda name: types.SimpleNamespace())
    monkeypatch.setattr(upfirdn2d, 'plain_upfirdn2d', lambda *_: 'plain')
    monkeypatch.setattr(bias_act, 'plain_bias_act', lambda *_: 'plain')
    with on_host():
        assert upfirdn2d.upfirdn2d(x.detach(), f, up=2) == bias_act.bias_act(x, b, act='lrelu') == 'plain'
    with on_host(), pytest.raises(AssertionError):
        ops.epilogue(x, scale=torch.ones(1, 7))
    with on_host(), pytest.raises(AssertionError):
        ops.epilogue(x, noise=torch.ones(2, 1, 6, 8))


def test_what_a_kernel_refuses_is_told_in_cudas_words():
    with pytest.raises(RuntimeError, match='invalid configuration'):
        compiled_on_host.plugin('bias_act').bias_act(0, 0, (0,) * 5, 0, 1, 1, 0.0, 1.0, -1.0, 0, 0)
    with pytest.raises(TypeError):
        compiled_on_host.plugin('bias_act').bias_act(0)


def test_the_plain_version_runs_where_kernels_are_switched_off(on_host, monkeypatch):
    monkeypatch.setattr(custom_ops, 'enabled', False)
    monkeypatch.setattr(compiled_on_host, 'plugin', None)
    x = numbers(1, 4, 6, 8)
    with on_host():
        assert torch.equal(ops.epilogue(x, gain=1), torch.nn.functional.leaky_relu(x, .2))
        assert upfirdn2d.upsample2d(x, None).shape == (1, 4, 12, 16)


def test_networks_compute_the_same_with_them(on_host):
    """Path length penalty and R1, which take second derivatives through everything at once."""
    G = fill(networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=2),
                                synthesis_kwargs=dict(channel_base=128, channel_max=16, pe='mspe')))
    D = fill(networks.Discriminator(0, 16, 3, channel_base=128, channel_max=16))
    leaves = [parameter.requires_grad_() for part in (G.synthesis, D) for parameter in part.parameters()]
    results = []
    for context in (on_host(), contextlib.nullcontext()):
        with context:
            ws = numbers(2, G.num_ws, 8)
            pictures = G.synthesis(ws, noise_mode='const')
            slopes, = torch.autograd.grad(pictures.square().sum(), ws, create_graph=True)
            seen = pictures.detach().requires_grad_()
            logits = D(seen, None)
            r1, = torch.autograd.grad(logits.sum(), seen, create_graph=True)
            total = slopes.square().mean() + r1.square().mean() + logits.sum()
            results.append([pictures, logits, *torch.autograd.grad(total, leaves, allow_unused=True)])
    for ours, theirs in zip(*results):
        assert (ours is None) == (theirs is None)
        assert ours is None or (ours - theirs).abs().max() <= 1e-3 * theirs.abs().max()
