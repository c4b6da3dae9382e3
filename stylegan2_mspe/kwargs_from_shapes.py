"""Constructor arguments worked out from the shapes of tensors, for files that record nothing else.

Tensors are named as in StyleGAN2-ADA-PyTorch. What no shape shows (clamping, half precision, filters) is left
out.
"""

import re
from collections.abc import Mapping

import torch

from stylegan2_mspe.safe_pickle import Refused

Tensors = Mapping[str, torch.Tensor]


def generator_kwargs(tensors: Tensors) -> dict:
    """Arguments of networks.Generator. Raises Refused where a tensor is missing or widths follow no rule."""
    channels = {int(level): tensors[name].shape[0] for name in tensors
                for level in re.findall(r'^synthesis\.b(\d{1,5})\.conv1\.weight$', name)}
    resolution = max(channels, default=0)
    last, first = f'synthesis.b{resolution}', 'synthesis.b4'
    w_dim = _shape(tensors, f'{first}.conv1.affine.weight', 2)[1]
    kernel = _shape(tensors, f'{first}.conv1.weight', 4)[2]
    synthesis = dict(_widths(channels), architecture=_generator_architecture(tensors, resolution),
                     pe=_plan(tensors, resolution))
    if kernel != 3:
        synthesis['kernel_size'] = kernel
    if f'{first}.conv1.noise_const' not in tensors:
        synthesis['use_noise'] = False
    z_dim, c_dim, mapping = _mapping_kwargs(tensors, w_dim)
    return dict(z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, img_resolution=resolution,
                img_channels=_shape(tensors, f'{last}.torgb.weight', 4)[0], mapping_kwargs=mapping,
                synthesis_kwargs=synthesis)


def discriminator_kwargs(tensors: Tensors) -> dict:
    """Arguments of networks.Discriminator. Raises Refused as above."""
    channels = {int(level): tensors[name].shape[0] for name in tensors
                for level in re.findall(r'^b(\d{1,5})\.conv0\.weight$', name)}
    resolution = max(channels, default=0)
    channels[4], inputs = _shape(tensors, 'b4.conv.weight', 4)[:2]
    kwargs = dict(c_dim=0, img_resolution=resolution, architecture='orig', **_widths(channels),
                  img_channels=_shape(tensors, f'b{resolution}.fromrgb.weight', 4)[1],
                  epilogue_kwargs=dict(mbstd_num_channels=inputs - channels[4]))
    if 'b4.fromrgb.weight' in tensors:
        kwargs['architecture'] = 'skip'
    elif f'b{resolution}.skip.weight' in tensors:
        kwargs['architecture'] = 'resnet'
    if 'mapping.embed.weight' in tensors:
        cmap_dim = _shape(tensors, 'b4.out.weight', 2)[0]
        _, c_dim, mapping = _mapping_kwargs(tensors, cmap_dim)
        kwargs.update(c_dim=c_dim, cmap_dim=cmap_dim, mapping_kwargs=mapping)
    return kwargs


def _shape(tensors: Tensors, name: str, dimensions: int) -> torch.Size:
    if name not in tensors or tensors[name].ndim != dimensions:
        found = list(tensors[name].shape) if name in tensors else 'nothing'
        raise Refused(f'has {found} as {name}, expected a tensor of {dimensions} dimensions')
    return tensors[name].shape


def _widths(channels: Mapping[int, int]) -> dict:
    """The arguments that give every level its width: min(channel_base // level, channel_max)."""
    widest = max(channels.values())
    base = max(level * width for level, width in channels.items())
    for level, width in channels.items():
        if width != min(base // level, widest):
            listed = ', '.join(f'{channels[level]} at {level}' for level in sorted(channels))
            raise Refused(f'has levels of {listed} channels, which follow no channel_base and channel_max')
    return dict(channel_base=base, channel_max=widest)


def _generator_architecture(tensors: Tensors, resolution: int) -> str:
    if 'synthesis.b8.skip.weight' in tensors:
        return 'resnet'
    return 'skip' if resolution == 4 or 'synthesis.b4.torgb.weight' in tensors else 'orig'


def _plan(tensors: Tensors, resolution: int) -> str:
    """none keeps a constant, mspe has a scalar at its finest level, sspe has neither."""
    if 'synthesis.b4.const' in tensors:
        return 'none'
    return 'mspe' if f'synthesis.b{resolution}.gamma' in tensors else 'sspe'


def _mapping_kwargs(tensors: Tensors, w_dim: int) -> tuple[int, int, dict]:
    """z_dim, c_dim and mapping_kwargs, where they differ from what the network would choose."""
    layers = 0
    while f'mapping.fc{layers}.weight' in tensors:
        layers += 1
    kwargs, embedded, c_dim = dict(num_layers=layers), 0, 0
    if 'mapping.embed.weight' in tensors:
        embedded, c_dim = _shape(tensors, 'mapping.embed.weight', 2)
        if embedded != w_dim:
            kwargs['embed_features'] = embedded
    if layers == 0 and embedded:        # a discriminator's may be the embedding alone
        return 0, c_dim, kwargs
    hidden, inputs = _shape(tensors, 'mapping.fc0.weight', 2)
    if layers > 1 and hidden != w_dim:
        kwargs['layer_features'] = hidden
    return inputs - embedded, c_dim, kwargs
