"""Every kernel against the memory: bytes it must move over the time it takes, as a share of a copy's."""

import sys

from tools.benchmarks import contenders

# The finest level of small, and of paper256.
SHAPES = {'cpu': (32, 32, 64, 64), 'cuda': (32, 64, 256, 256)}


def table(device: str, seconds: float) -> None:
    """Prints milliseconds, GB/s and the share of the copy bandwidth, forwards and backwards."""
    sys.path.insert(0, str(contenders.ROOT))
    import torch
    half = torch.float16 if device == 'cuda' else torch.bfloat16
    rows = []
    for dtype in (half, torch.float32):
        x = torch.randn(SHAPES[device], device=device, dtype=dtype)
        x = x.contiguous(memory_format=torch.channels_last) if device == 'cpu' else x
        copy = gigabytes(x, x) / contenders.seconds_of(lambda y=torch.empty_like(x): y.copy_(x),
                                                       seconds, device)
        rows.append([str(dtype)[6:], 'copy', '', f'{copy:.0f}', '100 %'])
        for name, moved, run in kernels(x):
            for _ in range(3):          # until memory is allocated, and a kernel compiled
                run()
            took = contenders.seconds_of(run, seconds, device)
            rows.append([str(dtype)[6:], name, f'{took * 1000:.3f}', f'{moved / took:.0f}',
                         f'{moved / took / copy:.0%}'])
    contenders.print_table(f'Kernels on {list(SHAPES[device])}; {contenders.where(device)}',
                           ['', 'kernel', 'ms', 'GB/s', 'of copy'], rows)


def gigabytes(*tensors) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e9


def kernels(x):
    """(name, GB that have to be read and written, what runs it) of each, forwards and backwards."""
    import torch

    from stylegan2_mspe import ops
    from stylegan2_mspe.pe import Separable
    from torch_utils.ops import bias_act, upfirdn2d
    count, channels, height, width = x.shape
    f = upfirdn2d.setup_filter([1, 3, 3, 1], device=x.device)
    small = dict(dtype=torch.float32, device=x.device)
    scale = torch.rand([count, channels], **small).requires_grad_()
    noise = torch.randn([count, 1, height, width], **small).requires_grad_()
    bias = torch.randn([channels], **small).requires_grad_()
    gamma = torch.ones([], **small).requires_grad_()
    halves = [torch.randn([1, channels // 2, size], device=x.device).to(x.dtype) for size in (height, width)]
    layer = [scale, noise, bias, Separable(*halves, True), gamma]
    coarse = x[:, :, ::2, ::2].contiguous(
        memory_format=torch.channels_last if x.device.type == 'cpu' else torch.contiguous_format)
    # name, input, function, further leaves, and how many maps as large as input and output the gradient moves
    for name, given, function, leaves, moved_back in [
            ('upfirdn2d filter', x, lambda x: upfirdn2d.filter2d(x, f), [], (1, 1)),
            ('upfirdn2d down 2', x, lambda x: upfirdn2d.downsample2d(x, f), [], (1, 1)),
            ('upfirdn2d up 2', coarse, lambda x: upfirdn2d.upsample2d(x, f), [], (1, 1)),
            ('bias_act', x, lambda x: bias_act.bias_act(x, bias.to(x.dtype), act='lrelu', clamp=256), [bias],
             (1, 2)),
            ('modulate', x, lambda x: ops.modulate(x, scale), [scale], (2, 1)),
            ('epilogue', x, lambda x: ops.epilogue(x, *layer, clamp=256.), [scale, noise, bias, gamma],
             (2, 1))]:
        given = given.detach().requires_grad_()
        y = function(given)
        gradient = torch.randn_like(y)
        back = moved_back[0] * gigabytes(given) + moved_back[1] * gigabytes(y)
        yield name, gigabytes(given, y), no_grad(function, given)
        yield f'{name}, gradient', back, backwards(y, [given, *leaves], gradient)


def no_grad(function, x):
    import torch

    def run():
        with torch.no_grad():
            function(x)
    return run


def backwards(y, leaves, gradient):
    import torch
    return lambda: torch.autograd.grad(y, leaves, gradient, retain_graph=True)
