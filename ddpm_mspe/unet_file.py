"""Network files of diffusion models: safetensors, with what rebuilds the U-Net as JSON in the metadata.

Reading one runs no code from it: the arguments are plain values of the expected types.
"""

import dataclasses
import json
import os
import pickle
from typing import IO, Any, NamedTuple

import torch

from ddpm_mspe.diffusion import Diffusion
from ddpm_mspe.unet import UNet
from stylegan2_mspe import network_file, safetensors_file
from stylegan2_mspe.network_file import Description, NetworkFileError
from stylegan2_mspe.safe_pickle import Refused

METADATA = 'ddpm_mspe'          # the key of ours in the metadata
GAN = 'stylegan2_mspe'          # and that of a GAN's networks
OTHERS = {pickle.PROTO: "a pickle, as a GAN's networks are",    # by their first byte
          b'P': 'a zip, as the state of a training is'}

_REAL, _LIST = (int, float), (list, tuple)
TYPES = dict(
    img_resolution=(int,), img_channels=(int,), channels=(int,), multipliers=_LIST, blocks=_LIST,
    attention=_LIST, dropout=_REAL, groups=(int,), pe=(str,), pe_kwargs=(dict, type(None)), base=_REAL,
    rows_first=(bool, int), steps=(int,), first=_REAL, last=_REAL, variance=(str,), output=(str,))
MAX_LEVELS, MAX_BLOCKS = 16, 64     # more only take time ...
MAX_CHANNELS, MAX_MULTIPLIER = 1 << 14, 64      # ... and memory, for their encodings are tried


class Saved(NamedTuple):
    """What a file holds."""
    unet: torch.nn.Module               # of averaged weights, on the CPU, in eval mode, without gradients
    diffusion: Diffusion
    training_set_kwargs: dict | None    # as of stylegan2_mspe.dataset.construct_dataset


def save_unet(path: str | os.PathLike, unet: torch.nn.Module, diffusion: Diffusion,
              training_set_kwargs: dict | None = None, dtype: torch.dtype | None = None) -> None:
    """Writes the U-Net; the file appears when it is complete. Raises OSError.

    dtype: of the numbers in the file, such as torch.float16, None = as they are. Reading gives float32.
    """
    record = dict(unet=unet.init_kwargs, diffusion=dataclasses.asdict(diffusion),
                  training_set_kwargs=training_set_kwargs)
    tensors = {name: tensor.to(dtype or tensor.dtype) for name, tensor in unet.state_dict().items()}
    safetensors_file.write_tensors(path, tensors, {'format': 'pt', METADATA: json.dumps(record)})


def save_small(source: str | os.PathLike, dest: str | os.PathLike) -> None:
    """A network file at half the size, without the place of its dataset: for the box. Raises as the others.
    """
    saved = load_unet(source)
    save_unet(dest, saved.unet, saved.diffusion, dtype=torch.float16)


def load_unet(f: str | os.PathLike | IO[bytes]) -> Saved:
    """Reads a path, a URL or an open binary file.

    Raises NetworkFileError (a ValueError) in one sentence for anything else than a diffusion model, OSError.
    """
    name, data = network_file.read(f)
    kind = OTHERS.get(data[:1])
    if kind and not safetensors_file.looks_like_one(data):
        raise NetworkFileError(f'{name} is {kind}, expected the .safetensors of a diffusion model, as '
                               'train_ddpm.py writes it')
    with network_file.sentences(name):
        tensors, metadata = safetensors_file.read_tensors(data)
        if GAN in metadata:
            raise Refused("holds a GAN's networks, expected a diffusion model as train_ddpm.py writes it")
        if not isinstance(metadata.get(METADATA), str):
            raise Refused(f'has no {METADATA!r} among its metadata, to say what its tensors are of')
        return _rebuild(json.loads(metadata[METADATA]), tensors)


def _rebuild(record: Any, tensors: dict[str, torch.Tensor]) -> Saved:
    if not isinstance(record, dict):
        raise Refused(f'describes a {type(record).__name__}, expected a diffusion model')
    described = {name: network_file.plain(record.get(name)) for name in ('unet', 'diffusion')}
    for kwargs in described.values():
        network_file.check_types(kwargs, TYPES, _check_value)
    try:
        diffusion = Diffusion(**described['diffusion'])
    except (TypeError, ValueError) as error:
        raise Refused(f'has a schedule of another kind ({network_file.reason(error)})') from error
    unet = network_file.construct('unet', UNet, Description('UNet', (), described['unet'], tensors))
    return Saved(unet, diffusion, network_file.dataset_kwargs(record.get('training_set_kwargs')))


def _check_value(name: str, value: Any) -> None:
    """Refuses lists of other things than whole numbers, and sizes that only take time."""
    if TYPES.get(name) is _LIST:
        if len(value) > MAX_LEVELS or not all(type(each) is int for each in value):
            raise Refused(f'has {name} = {str(value)[:40]} among its arguments, expected whole numbers, at '
                          f'most {MAX_LEVELS}')
        if name == 'blocks' and not all(0 <= each <= MAX_BLOCKS for each in value):
            raise Refused(f'has {str(value)[:40]} blocks a level, expected 0 to {MAX_BLOCKS} at each')
        if name == 'multipliers' and not all(1 <= each <= MAX_MULTIPLIER for each in value):
            raise Refused(f'has multipliers {str(value)[:40]}, expected 1 to {MAX_MULTIPLIER} at each level')
    if name in ('img_resolution', 'img_channels', 'channels', 'groups') and not 1 <= value <= MAX_CHANNELS:
        raise Refused(f'has {name} = {value} among its arguments, expected 1 to {MAX_CHANNELS}')
