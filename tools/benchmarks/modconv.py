"""Both ways of a modulated convolution, by shape: prints the rows of stylegan2_mspe/ops/modconv.py."""

import sys

import click

from tools.benchmarks import contenders

SHAPES = [(512, 8), (512, 16), (512, 32), (256, 64), (128, 128), (64, 256), (64, 16), (64, 32), (32, 64)]


def table(device: str, seconds: float) -> None:
    """Prints time of grouped weights over time of scaled activations for each shape: above 1 scaling wins."""
    sys.path.insert(0, str(contenders.ROOT))
    import torch

    from stylegan2_mspe.ops.modconv import BATCHES
    half = torch.float16 if device == 'cuda' else torch.bfloat16
    click.echo(f'\nGrouped weights over scaled activations; {contenders.where(device)}\n')
    for dtype in (torch.float32, half):
        for channels, resolution in SHAPES:
            ratios = [compare(device, dtype, channels, resolution, count, seconds) for count in BATCHES]
            click.echo(f"    ('{device}', '{str(dtype)[6:]}', {channels}, {resolution}): "
                       f'({", ".join(f"{ratio:.2f}" for ratio in ratios)}),')


def compare(device: str, dtype, channels: int, resolution: int, count: int, seconds: float) -> float:
    """Of the two layers of a level, without gradients."""
    import torch

    from stylegan2_mspe.networks import SynthesisLayer
    layers = [SynthesisLayer(channels, channels, 64, resolution, up=up).to(device).requires_grad_(False)
              for up in (2, 1)]
    layout = torch.channels_last if device == 'cpu' else torch.contiguous_format
    x = torch.randn([count, channels, resolution // 2, resolution // 2], device=device).to(dtype)
    x = x.contiguous(memory_format=layout)
    w = torch.randn([count, 64], device=device)

    @torch.inference_mode()
    def run(fused_modconv):
        y = x
        for layer in layers:
            y = layer(y, w, noise_mode='none', fused_modconv=fused_modconv)
    times = [[contenders.seconds_of(lambda fused=fused: run(fused), seconds / 2, device)
              for fused in (True, False)] for _ in range(2)]
    grouped, scaled = (min(column) for column in zip(*times))
    return grouped / scaled
