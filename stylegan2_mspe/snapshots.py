"""What a GAN run leaves to look at: grids of real and of generated pictures, and network pickles."""

import dataclasses
import os

import numpy as np
import torch

from stylegan2_mspe import images, legacy, networks


@dataclasses.dataclass(frozen=True)
class Grid:
    """The same pictures, latents and labels in every grid of a run, functions of its seed alone."""
    size: tuple[int, int]       # columns, rows
    indices: np.ndarray         # of the real pictures
    z: torch.Tensor             # [columns·rows, z_dim]
    c: torch.Tensor             # [columns·rows, c_dim], labels of the real pictures


def grid_size(resolution: int) -> tuple[int, int]:
    """(columns, rows) that fill an 8K screen, within 7…32 and 4…32."""
    return int(np.clip(7680 // resolution, 7, 32)), int(np.clip(4320 // resolution, 4, 32))


def make_grid(dataset, z_dim: int, seed: int, size: tuple[int, int] | None = None) -> Grid:
    """Draws from generators of its own: a run trains alike whatever it shows."""
    columns, rows = size or grid_size(dataset.resolution)
    order = np.random.RandomState(seed).permutation(len(dataset))
    indices = np.resize(order, columns * rows)
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn([columns * rows, z_dim], generator=generator)
    c = torch.from_numpy(np.stack([dataset.get_label(int(index)) for index in indices]))
    return Grid((columns, rows), indices, z, c)


def save_reals(grid: Grid, dataset, run_dir: str) -> None:
    pictures = np.stack([dataset[int(index)][0] for index in grid.indices])
    images.save_image_grid(pictures, os.path.join(run_dir, 'reals.png'), grid_size=grid.size)


@torch.no_grad()
def save_fakes(grid: Grid, G: torch.nn.Module, path: str, *, batch: int, device: torch.device) -> None:
    """Draws the grid in batches that fit where a training step fits; stored noise uses up nothing random."""
    pictures = [images.to_uint8(G(z.to(device), c.to(device), noise_mode='const'))
                for z, c in zip(grid.z.split(batch), grid.c.split(batch))]
    images.save_image_grid(np.concatenate(pictures), path, grid_size=grid.size)


def save_networks(path: str, models: dict[str, torch.nn.Module], training_set_kwargs: dict,
                  augment_pipe: torch.nn.Module | None = None) -> None:
    """Writes G, D and G_ema as CONTRACT's network pickle."""
    legacy.save_network_pkl(path, **models, training_set_kwargs=training_set_kwargs,
                            augment_pipe=augment_pipe)


def transfer(source: str, models: dict[str, torch.nn.Module]) -> None:
    """Starts the networks from those of a file or URL: the parameters of the same name, the others stay.

    Raises ValueError in one sentence where the file is not a network or one of another size.
    """
    loaded = legacy.load_network_pkl(source)
    for name, module in models.items():
        if loaded[name] is None:
            continue
        theirs = loaded[name].state_dict()
        ours = module.state_dict()
        for key in ours.keys() & theirs.keys():
            if ours[key].shape != theirs[key].shape:
                raise ValueError(f'--resume={source}: its {name}.{key} is {list(theirs[key].shape)}, this '
                                 f'run has {list(ours[key].shape)}: use the options it was trained with')
        module.load_state_dict({**ours, **theirs}, strict=False)


def prepare_precision(models: dict[str, torch.nn.Module], device: torch.device, fp32: bool) -> None:
    """Lets the half-precision levels compute in what this machine is fastest in."""
    for module in models.values():
        networks.set_precision(module, torch.float32 if fp32 else networks.fast_dtype(device))
