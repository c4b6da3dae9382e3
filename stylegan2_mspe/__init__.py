"""StyleGAN2 with an explicit positional encoding at every scale (Choi et al., ICCV 2021).

A network, a canvas, a picture of any size:

    import stylegan2_mspe as mspe

    G = mspe.load()                         # the network in the box; mspe.load('network.pkl') is another
    canvas = mspe.Canvas.identity(G.img_resolution).extended(0, 0, 32, 96).shifted(16, 0, wrap=False)
    picture = mspe.render(G, canvas, seed=3)                    # [3, 64, 192], about [-1, 1]
"""

import importlib

# Imported when first asked for: commands import this package long before they need torch.
_HOMES = {'load': 'api', 'render': 'api', 'Canvas': 'pe', 'Window': 'pe'}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_HOMES[name]}'), name)
