"""rosinality-style `.pt` files: rosinality/stylegan2-pytorch's networks, the paper authors', and back.

Such a file is a dictionary of state dictionaries (g_ema, g, d) under that implementation's parameter names.
The authors' generators have a `position`: none, sspe or mspe; their encoding has base 10000 and the column
half first.
"""

import argparse
import os
from typing import IO, Any

import torch

from stylegan2_mspe import kwargs_from_shapes, network_file, rebuild, safe_pickle
from stylegan2_mspe.files import atomic_write
from stylegan2_mspe.network_file import Description
from stylegan2_mspe.safe_pickle import Refused

AUTHORS_ENCODING = dict(base=10000, rows_first=False)
KEYS = dict(G_ema='g_ema', G='g', D='d')                                 # ours → theirs
AVERAGE = 10_000        # latents whose mean is w_avg, which the files leave to be drawn


def load_rosinality(f: str | os.PathLike | IO[bytes]) -> dict[str, Any]:
    """Reads a `.pt` file, path, URL or open (weights_only=True), as legacy.load_network_pkl does.

    Sizes, channel multiplier, number of mapping layers and position follow from the shapes. Raises
    NetworkFileError in one sentence, OSError.
    """
    name, data = network_file.read(f)
    with network_file.sentences(name):
        # Such files carry their training options, a bag of values whose class does nothing.
        content = safe_pickle.load_torch(data, [argparse.Namespace])
        if not isinstance(content, dict) or not isinstance(content.get('g_ema'), dict):
            raise Refused('holds no g_ema, the generator that every rosinality-style file has')
        found = {}
        for ours, theirs in KEYS.items():
            if theirs in content:
                state = _numbers(theirs, content[theirs])
                found[ours] = _discriminator(state) if ours == 'D' else _generator(state)
        found.setdefault('G', found['G_ema'])       # a training that starts from the file needs one
        networks = rebuild.build_all(found, None)
        _set_average(networks, content.get('latent_avg'))
        return networks


def save_rosinality(path: str | os.PathLike, content: dict[str, Any]) -> None:
    """Writes G_ema, G and D of `content` under the names of rosinality/stylegan2-pytorch.

    Raises ValueError for what those networks cannot be: with encodings, labels or of another architecture.
    """
    saved = {}
    for ours, theirs in KEYS.items():
        module = content.get(ours)
        if module is None:
            continue
        kwargs = {**module.init_kwargs, **module.init_kwargs.get('synthesis_kwargs', {})}
        _check_exportable(ours, module, kwargs)
        tensors = module.state_dict()
        names = discriminator_names(module.img_resolution) if ours == 'D' else generator_names(
            module.img_resolution, module.mapping.num_layers)
        saved[theirs] = _kernels(ours == 'D', module.img_resolution)
        saved[theirs].update((name, _as_theirs(name, tensors[mine])) for mine, name in names.items()
                             if mine in tensors)
    saved['latent_avg'] = content['G_ema'].mapping.w_avg.clone()
    with atomic_write(path) as file:
        torch.save(saved, file)


# ----- names ------------------------------------------------------------------------------------------------


def generator_names(resolution: int, layers: int) -> dict[str, str]:
    """Our parameter names → theirs, those of encodings and of the constant included."""
    names = {f'mapping.fc{index}.{kind}': f'style.{index + 1}.{kind}'
             for index in range(layers) for kind in ('weight', 'bias')}
    names['synthesis.b4.const'] = 'input.input'
    convolutions = {'b4.conv1': 'conv1'}
    for level in range(resolution.bit_length() - 3):
        block = f'b{8 << level}'
        convolutions[f'{block}.conv0'] = f'convs.{2 * level}'
        convolutions[f'{block}.conv1'] = f'convs.{2 * level + 1}'
        names[f'synthesis.{block}.gamma'] = f'pes.{level}.gamma'
        names.update(_picture_names(f'synthesis.{block}.torgb', f'to_rgbs.{level}'))
    names.update(_picture_names('synthesis.b4.torgb', 'to_rgb1'))
    for index, (ours, theirs) in enumerate(convolutions.items()):
        names.update(_styled_names(f'synthesis.{ours}', theirs))
        names[f'synthesis.{ours}.bias'] = f'{theirs}.activate.bias'
        names[f'synthesis.{ours}.noise_strength'] = f'{theirs}.noise.weight'
        names[f'synthesis.{ours}.noise_const'] = f'noises.noise_{index}'
    return names


def _picture_names(ours: str, theirs: str) -> dict[str, str]:
    return {**_styled_names(ours, theirs), f'{ours}.bias': f'{theirs}.bias'}


def _styled_names(ours: str, theirs: str) -> dict[str, str]:
    theirs = f'{theirs}.conv'
    return {f'{ours}.weight': f'{theirs}.weight', f'{ours}.affine.weight': f'{theirs}.modulation.weight',
            f'{ours}.affine.bias': f'{theirs}.modulation.bias'}


def discriminator_names(resolution: int) -> dict[str, str]:
    """Our parameter names → theirs."""
    layers = {f'b{resolution}.fromrgb': ('convs.0.0', 'convs.0.1'),
              'b4.conv': ('final_conv.0', 'final_conv.1'),
              'b4.fc': ('final_linear.0',) * 2, 'b4.out': ('final_linear.1',) * 2}
    for level in range(resolution.bit_length() - 3):
        block, theirs = f'b{resolution >> level}', f'convs.{level + 1}'
        layers[f'{block}.conv0'] = (f'{theirs}.conv1.0', f'{theirs}.conv1.1')
        layers[f'{block}.conv1'] = (f'{theirs}.conv2.1', f'{theirs}.conv2.2')
        layers[f'{block}.skip'] = (f'{theirs}.skip.1', f'{theirs}.skip.2')         # the second is not there
    return {f'{ours}.{kind}': f'{theirs}.{kind}' for ours, pair in layers.items()
            for kind, theirs in zip(('weight', 'bias'), pair)}


# ----- reading ----------------------------------------------------------------------------------------------


def _numbers(key: str, state: Any) -> dict[str, torch.Tensor]:
    if not isinstance(state, dict) or not all(isinstance(name, str) and isinstance(value, torch.Tensor)
                                              for name, value in state.items()):
        raise Refused(f'has a {type(state).__name__} as {key}, expected tensors by name')
    return {name.removeprefix('module.'): value.float() for name, value in state.items()}


def _generator(state: dict[str, torch.Tensor]) -> Description:
    layers = sum(name.startswith('style.') and name.endswith('.weight') for name in state)
    pictures = sum(name.startswith('to_rgbs.') and name.endswith('.conv.weight') for name in state)
    tensors = _translate(state, generator_names(4 << min(pictures, 12), min(layers, 100)))
    kwargs = kwargs_from_shapes.generator_kwargs(tensors)
    if kwargs['synthesis_kwargs']['pe'] != 'none':
        kwargs['synthesis_kwargs']['pe_kwargs'] = AUTHORS_ENCODING
    if kwargs['synthesis_kwargs'].pop('use_noise', True) is False:      # the file leaves noise to be drawn
        for name in [name for name in tensors if name.endswith('.noise_strength')]:
            size = int(name.split('.')[1].removeprefix('b'))
            tensors[name.replace('noise_strength', 'noise_const')] = torch.zeros([size, size])
    tensors['mapping.w_avg'] = torch.zeros(kwargs['w_dim'])
    return Description('Generator', (), kwargs, tensors)


def _discriminator(state: dict[str, torch.Tensor]) -> Description:
    blocks = sum(name.startswith('convs.') and name.endswith('.skip.1.weight') for name in state)
    tensors = _translate(state, discriminator_names(4 << min(blocks, 12)))
    return Description('Discriminator', (), kwargs_from_shapes.discriminator_kwargs(tensors), tensors)


def _translate(state: dict[str, torch.Tensor], names: dict[str, str]) -> dict[str, torch.Tensor]:
    """Tensors under our names and of our shapes; a tensor that has no name here is refused."""
    unknown = sorted(name for name in state.keys() - set(names.values()) if not name.endswith('.kernel'))
    if unknown:
        raise Refused(f'has {unknown[0][:80]!r}, which networks of stylegan2-pytorch do not have')
    return {ours: _as_ours(ours, state[theirs]) for ours, theirs in names.items() if theirs in state}


def _as_ours(name: str, value: torch.Tensor) -> torch.Tensor:
    """Without the axes of size 1 by which theirs broadcast."""
    if name.endswith(('noise_strength', 'gamma')) and value.numel() == 1:
        return value.reshape(())
    if name.endswith('.bias') and value.ndim == 4:
        return value.reshape(-1)
    if name.endswith('noise_const') and value.ndim == 4:
        return value[0, 0]
    extra = (name.startswith('synthesis.') and value.ndim == 5) or name.endswith('.const')
    return value[0] if extra and value.shape[0] == 1 else value


def _set_average(networks: dict[str, Any], recorded: Any) -> None:
    """w_avg: what the file says, else the mean over latents drawn from a fixed seed."""
    for key in ('G', 'G_ema'):
        if networks[key] is None:
            continue
        mapping = networks[key].mapping
        if isinstance(recorded, torch.Tensor) and recorded.numel() == mapping.w_dim:
            mapping.w_avg.copy_(recorded.reshape(-1))
        else:
            z = torch.randn([AVERAGE, mapping.z_dim], generator=torch.Generator().manual_seed(0))
            mapping.w_avg.copy_(mapping(z, None)[:, 0].mean(dim=0))


# ----- writing ----------------------------------------------------------------------------------------------


def _check_exportable(key: str, module: torch.nn.Module, kwargs: dict) -> None:
    """Theirs are baselines without labels; the generator sums pictures, the discriminator is residual."""
    expected = dict(architecture='resnet' if key == 'D' else 'skip', pe='none', use_noise=True,
                    resample_filter=[1, 3, 3, 1], activation='lrelu', kernel_size=3, border='zero')
    for name, value in expected.items():
        if kwargs.get(name, value) != value:
            raise ValueError(f'{key}: found {name} = {kwargs[name]!r}, expected {value!r}: '
                             'rosinality-style files hold nothing else')
    if module.c_dim or (key != 'D' and module.z_dim != module.w_dim):
        raise ValueError(f'{key}: found labels, or z and w of different sizes, expected neither: '
                         'rosinality-style files hold nothing else')


def _as_theirs(name: str, value: torch.Tensor) -> torch.Tensor:
    if name.endswith('noise.weight'):
        return value.reshape(1)
    if name.startswith('noises.'):
        return value[None, None]
    if name.startswith('to_rgb') and name.endswith('.bias') and value.ndim == 1 and 'modulation' not in name:
        return value[None, :, None, None]
    return value[None] if name.endswith('.conv.weight') or name == 'input.input' else value


def _kernels(is_discriminator: bool, resolution: int) -> dict[str, torch.Tensor]:
    """The filter [1, 3, 3, 1] where they store it, scaled by the square of the upsampling factor."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel, found = torch.outer(taps, taps), {}
    for level in range(resolution.bit_length() - 3):
        if is_discriminator:
            for path in ('conv2', 'skip'):
                found[f'convs.{level + 1}.{path}.0.kernel'] = kernel.clone()
        else:
            found[f'convs.{2 * level}.conv.blur.kernel'] = kernel * 4
            found[f'to_rgbs.{level}.upsample.kernel'] = kernel * 4
    return found
