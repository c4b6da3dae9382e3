"""Files to start from: small valid ones of every kind, and how each is read."""

import codecs
import collections
import contextlib
import io
import json
import os
import pickle
import pickletools
import re
import zipfile

from tools.fuzzing.guard import Case


def make_cases(folder: str) -> list[Case]:
    """Small valid files of every kind, each read once, so that whatever is loaded on first use is there."""
    from PIL import Image

    from ddpm_mspe.unet_file import load_unet
    from stylegan2_mspe.legacy import load_network_pkl
    from stylegan2_mspe.rosinality import load_rosinality
    from stylegan2_mspe.network_safetensors import load_safetensors

    def reader(load):
        return lambda data: draw(load(io.BytesIO(data)))

    networks, zips = make_networks(folder), [make_zip(labels) for labels in (False, True)]
    cases = [Case('pickle', networks['pickle'], reader(load_network_pkl)),
             Case('pickle', networks['pickle'], reader(load_network_pkl)),      # twice as often
             Case('safetensors', networks['safetensors'], reader(load_safetensors)),
             Case('pt', networks['pt'], reader(load_rosinality)),
             Case('diffusion', make_unets(folder), lambda data: draw_unet(load_unet(io.BytesIO(data)))),
             Case('zip', zips, ZipReader(folder))]
    # An unknown picture makes Pillow load all its readers, old kinds of text make Python load decoders.
    Image.init()
    for codec in ('raw_unicode_escape', 'unicode_escape', 'latin1'):
        codecs.lookup(codec)
    for case in cases:
        for data in case.originals:
            case.read(data)
        for data in (b'\0', case.originals[0][:100]):
            with contextlib.suppress(ValueError, OSError):
                case.read(data)
    return cases


def make_networks(folder: str) -> dict[str, list[bytes]]:
    """The same small networks in every format; the pickles' source text is left out, being all text."""
    import torch

    from stylegan2_mspe import networks
    from stylegan2_mspe.legacy import save_network_pkl
    from stylegan2_mspe.rosinality import save_rosinality
    from stylegan2_mspe.network_safetensors import save_safetensors

    torch.manual_seed(0)
    found = collections.defaultdict(list)
    options = dict(channel_base=32, channel_max=4)
    for plan, labels in (('none', 0), ('mspe', 0), ('sspe', 2)):
        G = networks.Generator(4, labels, 4, 8, 3, mapping_kwargs=dict(num_layers=1),
                               synthesis_kwargs=dict(options, pe=plan)).eval().requires_grad_(False)
        D = networks.Discriminator(labels, 8, 3, **options).eval().requires_grad_(False)
        kwargs = dict(class_name='training.dataset.ImageFolderDataset', path='x.zip', use_labels=False)
        content = dict(G=G, D=D, G_ema=G, training_set_kwargs=kwargs, augment_pipe=None)
        path = os.path.join(folder, 'network')
        save_network_pkl(path, **content)
        found['pickle'].append(reproducible(_content(path)))
        for protocol in (2, 3):
            found['pickle'].append(reproducible(without_source(pickle.dumps(content, protocol))))
        save_safetensors(path, content)
        found['safetensors'].append(_content(path))
        if plan == 'none':
            save_rosinality(path, content)
            found['pt'].append(_content(path))
    return found


def make_unets(folder: str) -> list[bytes]:
    """Small diffusion models, in float32 and in float16."""
    import torch

    from ddpm_mspe.diffusion import Diffusion
    from ddpm_mspe.unet import UNet
    from ddpm_mspe.unet_file import save_unet

    torch.manual_seed(0)
    found, path = [], os.path.join(folder, 'unet')
    kwargs = dict(class_name='training.dataset.ImageFolderDataset', path='x.zip', use_labels=False)
    for plan, dtype in (('none', None), ('mspe', torch.float16)):
        unet = UNet(img_resolution=8, img_channels=3, channels=4, multipliers=[1, 1], blocks=[0, 1],
                    attention=[4], groups=2, pe=plan)
        save_unet(path, unet, Diffusion(), kwargs, dtype)
        found.append(_content(path))
    return found


def without_source(data: bytes) -> bytes:
    """The pickle with its longest text made short."""
    steps = list(pickletools.genops(data))
    sizes = [len(text) if code.name == 'BINUNICODE' else 0 for code, text, _ in steps]
    longest = sizes.index(max(sizes))
    begin, end = steps[longest][2], steps[longest + 1][2]
    return data[:begin] + b'X\x01\x00\x00\x00x' + data[end:]


def reproducible(data: bytes) -> bytes:
    """The pickle with the addresses that torch calls its storages by made alike."""
    return re.sub(rb'\d{12,}', lambda match: b'1' * len(match[0]), data)


def make_zip(labels: bool) -> bytes:
    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for index in range(4):
            picture = io.BytesIO()
            Image.fromarray(np.full([8, 8, 3], 40 * index, np.uint8)).save(picture, 'png')
            archive.writestr(zipfile.ZipInfo(f'00000/img{index:08d}.png'), picture.getvalue())      # of 1980
        pairs = [[f'00000/img{index:08d}.png', index % 2] for index in range(4)]
        archive.writestr(zipfile.ZipInfo('dataset.json'), json.dumps(dict(labels=pairs if labels else None)))
    return file.getvalue()


def draw(content: dict) -> None:
    """What a user does next: a file that was read has to draw."""
    import torch

    G = content['G_ema']
    G(torch.zeros(1, G.z_dim), torch.zeros(1, G.c_dim), noise_mode='const')


def draw_unet(saved) -> None:
    """The same of a diffusion model."""
    from ddpm_mspe import sampling

    sampling.sample(sampling.prepare(saved.unet, 'cpu'), saved.diffusion, [0], steps=1)


class ZipReader:
    """Reads a dataset zip from its bytes; writing them to a file is not part of reading."""

    def __init__(self, folder: str):
        self.path = os.path.join(folder, 'damaged.zip')

    def __call__(self, data: bytes) -> None:
        from stylegan2_mspe.dataset import open_dataset

        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, data)
        os.close(descriptor)
        dataset = open_dataset(self.path, use_labels=True)
        for index in range(len(dataset)):
            dataset[index]
        dataset.close()


def _content(path: str) -> bytes:
    with open(path, 'rb') as file:
        return file.read()
