"""The paper authors' networks as the `.pt` files they come in, with the weights of golden/README."""

import io
import json

import torch

from tests.golden import draw


def authors_state(position: str, numbers) -> dict[str, torch.Tensor]:
    """Their generator's state dictionary; `numbers` is golden('authors_generator16')."""
    seed, values = int(numbers['seed']), {}
    for name, shape in json.loads(str(numbers[f'{position}_state'])).items():
        value = draw(name, shape, seed)
        if 'kernel' in name:
            taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
            value = torch.outer(taps, taps)
        elif name.endswith('noise.weight'):
            value = .1 * value
        elif name.endswith('modulation.bias'):
            value = 1 + .1 * value
        elif name.startswith('style.') and name.endswith('weight'):
            value = 100 * value
        values[name] = value
    return values


def authors_file(position: str, numbers, **more) -> io.BytesIO:
    """What torch.save would have written, and `more` beside the generator."""
    file = io.BytesIO()
    torch.save(dict(g_ema=authors_state(position, numbers), **more), file)
    file.seek(0)
    return file
