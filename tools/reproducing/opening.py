"""The networks of an experiment: those named by file or role, else those in the box."""

import os

from tools import cli


def named_or_boxed(files: dict[str, str], roles, box) -> dict[str, str]:
    """{label: file}: those named, by file or role, else those of these roles. box: module of the networks
    that there are. Raises ValueError where there is none, or none of a role that was named.
    """
    if not files:
        boxed = {role: box.bundled_role(role) for role in roles}
        files = {role: file for role, file in boxed.items() if file}
        missing = [role for role in roles if role not in files]
        if not files:
            raise ValueError(f'--network: found no network in the box for {", ".join(missing)}, '
                             'expected LABEL=FILE for each')
        if missing:
            print(f'Note: there is no network in the box for {", ".join(missing)}; '
                  f'--network={missing[0]}=FILE measures one.')
    return {label: file if os.path.exists(file) or file not in box.ROLES else required(file, box)
            for label, file in files.items()}


def required(role: str, box) -> str:
    """The path of the network in the box that has this role. Raises ValueError where there is none."""
    path = box.bundled_role(role)
    if path is None:
        raise ValueError(f'--network={role}: found no {box.ROLES[role]} in the box, expected {role}=FILE')
    return path


def open_network(file: str, device: str):
    """The generator of a file, a pickle or safetensors, ready on the device."""
    from stylegan2_mspe import legacy, network_safetensors, rendering

    tensors = file.endswith('.safetensors')
    load = network_safetensors.load_safetensors if tensors else legacy.load_network_pkl
    return rendering.prepare(load(file)['G_ema'], cli.pick_device(device))


def open_diffusion(file: str, device: str):
    """The diffusion model of a file, ready on the device. Raises ValueError where it is not one of digits."""
    from ddpm_mspe import sampling
    from ddpm_mspe.unet_file import load_unet
    from stylegan2_mspe.digits import RESOLUTION

    saved = load_unet(file)
    size, channels = saved.unet.img_resolution, saved.unet.img_channels
    if (size, channels) != (RESOLUTION, 3):
        raise ValueError(f'--network={file}: found a network of {size}x{size} pictures of {channels} '
                         f'channels, expected {RESOLUTION}x{RESOLUTION} in RGB, as the digits are')
    return saved._replace(unet=sampling.prepare(saved.unet, cli.pick_device(device)))
