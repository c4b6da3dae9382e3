"""Which way of a modulated convolution is faster: scaling the activations, or the weights of each sample.

Scaled activations share one convolution among all samples; scaled weights are one group of a grouped
convolution a sample, without a pass over the feature map. Both give the same numbers to rounding. The table
is printed by `python tools/benchmark.py --tables=modconv`; a device that nobody has measured goes by a rule.
"""

import math

import torch

BATCHES = (1, 2, 8)

# (device, dtype, channels, trained resolution of the level): time of scaled weights over time of scaled
# activations without gradients, for each of BATCHES; above 1 scaled activations win.
MEASURED = {
    # One core of an AMD EPYC with bfloat16 products (AVX-512), torch 2.13, 2026-11-22.
    ('cpu', 'float32', 512, 8): (0.87, 1.41, 3.70),
    ('cpu', 'float32', 512, 16): (1.42, 1.45, 2.20),
    ('cpu', 'float32', 512, 32): (1.04, 1.38, 1.64),
    ('cpu', 'float32', 256, 64): (1.31, 1.42, 1.71),
    ('cpu', 'float32', 128, 128): (1.55, 1.65, 2.11),
    ('cpu', 'float32', 64, 256): (2.01, 2.38, 3.08),
    ('cpu', 'float32', 64, 16): (1.12, 1.48, 1.30),
    ('cpu', 'float32', 64, 32): (1.15, 1.56, 2.01),
    ('cpu', 'float32', 32, 64): (1.14, 2.03, 2.10),
    ('cpu', 'bfloat16', 512, 8): (0.86, 1.72, 4.39),
    ('cpu', 'bfloat16', 512, 16): (0.93, 1.55, 2.56),
    ('cpu', 'bfloat16', 512, 32): (1.09, 1.57, 1.81),
    ('cpu', 'bfloat16', 256, 64): (1.50, 1.64, 2.06),
    ('cpu', 'bfloat16', 128, 128): (1.57, 2.02, 2.36),
    ('cpu', 'bfloat16', 64, 256): (2.33, 3.10, 4.15),
    ('cpu', 'bfloat16', 64, 16): (1.01, 2.52, 2.07),
    ('cpu', 'bfloat16', 64, 32): (1.26, 1.26, 2.37),
    ('cpu', 'bfloat16', 32, 64): (2.02, 1.69, 2.90),
    # CUDA: nobody has measured one yet.
}


def scale_activations(device: str, dtype: torch.dtype, training: bool, count: int, channels: int,
                      resolution: int) -> bool:
    """Whether to scale the activations of `count` samples at a level: by the nearest row of the table.

    In training always, where the gradient of grouped weights costs more still. Depends on the trained
    resolution and not on the canvas, so that a tile is computed as the whole picture is.
    """
    if training:
        return True
    rows = {key[2:]: row for key, row in MEASURED.items() if key[:2] == (device, str(dtype)[6:])}
    if not rows:
        return count != 1 and not (device == 'cuda' and dtype == torch.float32)
    nearest = min(rows, key=lambda shape: _distance(shape, (channels, resolution)))
    column = max([index for index, batch in enumerate(BATCHES) if batch <= count], default=0)
    return rows[nearest][column] > 1


def _distance(shape: tuple[int, int], other: tuple[int, int]) -> float:
    """In octaves."""
    return sum(abs(math.log2(a / b)) for a, b in zip(shape, other))
