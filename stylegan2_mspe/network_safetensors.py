"""The GAN's networks as safetensors, the dictionary that legacy reads from a pickle.

Tensors are `G_ema.mapping.fc0.weight` …; what rebuilds the networks (class names, constructor arguments, the
dataset's arguments) is JSON in the metadata.
"""

import json
import os
from typing import IO, Any

from stylegan2_mspe import network_file, rebuild
from stylegan2_mspe.network_file import Description
from stylegan2_mspe.rebuild import KINDS
from stylegan2_mspe.safe_pickle import Refused
from stylegan2_mspe.safetensors_file import read_tensors, write_tensors

METADATA = 'stylegan2_mspe'     # the key of ours in the metadata


def save_safetensors(path: str | os.PathLike, content: dict[str, Any]) -> None:
    """Writes the dictionary that legacy.load_network_pkl returns; a network that is there twice, once."""
    tensors, described, done = {}, {}, {}
    for key in sorted(KINDS, key=lambda key: key != 'G_ema'):       # under G_ema where G is the same
        module = content.get(key)
        if module is None:
            continue
        if id(module) in done:
            described[key] = done[id(module)]
            continue
        done[id(module)] = key
        described[key] = dict(class_name=type(module).__name__, args=module.init_args,
                              kwargs=module.init_kwargs)
        tensors.update((f'{key}.{name}', value) for name, value in module.state_dict().items())
    record = dict(networks=described, training_set_kwargs=content.get('training_set_kwargs'))
    write_tensors(path, tensors, {'format': 'pt', METADATA: json.dumps(record)})


def load_safetensors(f: str | os.PathLike | IO[bytes]) -> dict[str, Any]:
    """Reads what save_safetensors writes, from a path, URL or open file, as legacy.load_network_pkl does.

    Raises NetworkFileError in one sentence, OSError.
    """
    name, data = network_file.read(f)
    with network_file.sentences(name):
        tensors, metadata = read_tensors(data)
        if 'ddpm_mspe' in metadata:
            raise Refused("holds a diffusion model, expected a GAN's networks")
        if not isinstance(metadata.get(METADATA), str):
            raise Refused(f'has no {METADATA!r} among its metadata, to say what networks its tensors are of')
        record = json.loads(metadata[METADATA])
        described, found = record['networks'], {}
        for key, entry in described.items():
            if key in KINDS and isinstance(entry, dict):
                own = {name.removeprefix(f'{key}.'): value for name, value in tensors.items()
                       if name.startswith(f'{key}.')}
                found[key] = Description(str(entry['class_name']), entry['args'], entry['kwargs'], own)
        for key, entry in described.items():
            if isinstance(entry, str):
                found[key] = found[entry]
        return rebuild.build_all(found, record['training_set_kwargs'])
