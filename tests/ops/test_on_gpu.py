"""Every CUDA kernel on a real GPU against its plain twin: `python -m pytest tests/ops/test_on_gpu.py`.

Where there is no GPU these do not run; tests/ops/test_cuda_kernels.py runs the same kernels on a CPU.
"""

import pytest
import torch

from stylegan2_mspe import ops
from stylegan2_mspe.pe import Canvas, Separable, sinusoidal
from torch_utils import custom_ops
from torch_utils.ops import bias_act, upfirdn2d

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA GPU on this machine')

LAYOUTS = torch.contiguous_format, torch.channels_last
TOLERANCES = {torch.float64: 1e-11, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 6e-2}
SHAPES = (2, 32, 5, 7), (1, 64, 64, 48), (3, 24, 1, 1), (2, 512, 16, 16), (1, 3, 129, 257)


@pytest.fixture(autouse=True)
def exactly(monkeypatch):
    """Without TensorFloat-32 in the plain versions."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)


def numbers(*shape, dtype=torch.float32, layout=None, seed=0):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x.to('cuda', dtype)
    return (x if layout is None else x.contiguous(memory_format=layout)).requires_grad_()


def close(ours, theirs, dtype):
    """All but one in 100,000: what is within a rounding of lrelu's bend has the slope of either side."""
    scale = theirs.detach().abs().max().clamp(min=1)
    within = (ours.double() - theirs.double()).abs() <= TOLERANCES[dtype] * scale.double()
    return ours.isfinite().all() and within.double().mean() >= 1 - 1e-5


def compare(ours, plain, leaves, dtype):
    twice, zero = dtype in (torch.float32, torch.float64), torch.zeros((), device='cuda', dtype=dtype)
    results = []
    for run in (ours, plain):
        y = run()
        upstream = torch.linspace(-1, 1, y.numel(), device='cuda', dtype=torch.float64).to(dtype)
        upstream = upstream.reshape(y.shape).requires_grad_()
        found = [y, *torch.autograd.grad(y, leaves, upstream, retain_graph=True)]
        if twice:
            slopes = torch.autograd.grad(y, leaves, upstream, create_graph=True)
            total = sum(slope.double().square().mean() for slope in slopes)
            again = torch.autograd.grad(total, [*leaves, upstream], allow_unused=True)
            found += [zero if t is None else t for t in again]
        results.append(found)
    torch.cuda.synchronize()
    for place, (mine, theirs) in enumerate(zip(*results)):
        assert mine.dtype == theirs.dtype and close(mine, theirs, dtype), place


@pytest.mark.parametrize('name, folder, agrees', [
    ('upfirdn2d', custom_ops.HEADERS, upfirdn2d.agrees), ('bias_act', custom_ops.HEADERS, bias_act.agrees),
    ('epilogue', ops.epilogue_cuda.FOLDER, ops.epilogue_cuda.agrees)])
def test_the_kernels_are_there(name, folder, agrees):
    """Without a compiler this fails, as it should on a machine meant for training."""
    assert custom_ops.cuda_plugin(name, folder, agrees) is not None


@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('case', [dict(up=2, padding=[2, 1, 2, 1], gain=4),
                                  dict(down=2, padding=[2, 1, 3, 2]), dict(padding=[2, 1, 1, 2]),
                                  dict(up=[2, 1], down=[1, 3], padding=5)])
def test_upfirdn2d(shape, layout, dtype, case):
    x, f = numbers(*shape, dtype=dtype, layout=layout), upfirdn2d.setup_filter([1, 2, 4, 3], device='cuda')
    run = lambda impl: upfirdn2d.upfirdn2d(x, f, impl=impl, **case)
    compare(lambda: run('cuda'), lambda: run('ref'), [x], dtype)
    assert shape[2:] == (1, 1) or run('cuda').is_contiguous(memory_format=layout)


@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('act', bias_act.activation_funcs)
def test_bias_act(act, layout, dtype):
    for shape in SHAPES:
        x, b = numbers(*shape, dtype=dtype, layout=layout), numbers(shape[1], dtype=dtype, seed=1)
        run = lambda impl: bias_act.bias_act(x, b, act=act, gain=1.5, clamp=9, impl=impl)
        compare(lambda: run('cuda'), lambda: run('ref'), [x, b], dtype)


@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('shape', [shape for shape in SHAPES if shape[1] % 4 == 0])
def test_epilogue(shape, layout, dtype):
    count, channels, height, width = shape
    small = torch.float64 if dtype == torch.float64 else torch.float32
    rows, cols, _ = sinusoidal(Canvas.identity(512).coordinates(512), channels, 512)
    encoding = Separable(rows[:, :, :height].to('cuda', dtype), cols[:, :, :width].to('cuda', dtype))
    x, scale = numbers(*shape, dtype=dtype, layout=layout), numbers(count, channels, dtype=small, seed=1)
    noise = numbers(count, 1, height, width, dtype=small, seed=2)
    bias = numbers(channels, dtype=small, seed=3)
    gamma = torch.tensor(.7, dtype=small, device='cuda', requires_grad=True)
    leaves = [x, scale, noise, bias, gamma]
    ours = lambda: ops.epilogue(x, scale, noise, bias, encoding, gamma, slope=.2, gain=1.5)
    plain = lambda: ops.plain_epilogue(*leaves, encoding.rows, encoding.cols, (True, .2, 1.5, None))
    if dtype in (torch.float32, torch.float64):
        compare(ours, plain, leaves, dtype)
    else:           # plain rounds at every step, and may find itself on the other side of the bend
        wide, y = x.detach().float().requires_grad_(), ours()
        expected = ops.plain_epilogue(wide, *leaves[1:], encoding.rows, encoding.cols, (True, .2, 1.5, None))
        gy = torch.linspace(-1, 1, y.numel(), device='cuda').reshape(y.shape).to(dtype)
        slopes = [torch.autograd.grad(value, [at, *leaves[1:]], gy.to(value.dtype))
                  for value, at in ((y, x), (expected, wide))]
        assert all(close(*pair, dtype) for pair in zip((y, *slopes[0]), (expected, *slopes[1])))


def test_the_same_twice():
    x, scale = numbers(4, 64, 64, 64, dtype=torch.float16, layout=torch.channels_last), numbers(4, 64, seed=1)
    y = ops.epilogue(x, scale)
    results = [torch.autograd.grad(y.float().square().sum(), [x, scale], retain_graph=True) for _ in range(2)]
    assert all(torch.equal(*pair) for pair in zip(*results))


def test_on_another_stream():
    x = numbers(8, 64, 128, 128)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        y = ops.epilogue(x, gain=1)
        y = upfirdn2d.upsample2d(y, upfirdn2d.setup_filter([1, 3, 3, 1], device='cuda'))
    torch.cuda.current_stream().wait_stream(stream)
    expected = torch.nn.functional.leaky_relu(x, .2)
    assert close(upfirdn2d.downsample2d(y, None), upfirdn2d.downsample2d(
        upfirdn2d.upsample2d(expected, upfirdn2d.setup_filter([1, 3, 3, 1], device='cuda'), impl='ref'), None,
        impl='ref'), torch.float32)
