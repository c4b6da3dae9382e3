import math
from types import SimpleNamespace

import torch

functional = torch.nn.functional
activation_funcs = {
    'linear': SimpleNamespace(function=lambda x, alpha: x, def_alpha=0, def_gain=1),
    'relu': SimpleNamespace(function=lambda x, alpha: x.relu(), def_alpha=0, def_gain=math.sqrt(2)),
    'lrelu': SimpleNamespace(function=functional.leaky_relu, def_alpha=0.2, def_gain=math.sqrt(2)),
}


def bias_act(x, b=None, dim=1, act='linear', alpha=None, gain=None, clamp=None, impl='cuda'):
    chosen = activation_funcs[act]
    if b is not None:
        x = x + b.reshape([-1 if axis == dim else 1 for axis in range(x.ndim)])
    x = chosen.function(x, chosen.def_alpha if alpha is None else alpha)
    x = x * (chosen.def_gain if gain is None else gain)
    return x if clamp is None else x.clamp(-clamp, clamp)
