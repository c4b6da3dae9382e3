"""What a GAN run leaves to look at: grids of real and of generated pictures, and network pickles."""

import dataclasses

import numpy as np
import torch

from stylegan2_mspe import images, legacy, networks, shortage

PIXELS = 2 ** 20        # of a grid that are drawn at a time, at most (but one picture at least) ...
PICTURES = 32           # ... and pictures: it is to fit wherever a training step fits


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
    """Draws from generators of its own: a run trains alike whatever it shows.

    Where there are classes, each row shows one, and the rows all of them in turn.
    """
    columns, rows = size or grid_size(dataset.resolution)
    order = np.random.RandomState(seed).permutation(len(dataset))
    groups = by_class(dataset, order)
    shown = [np.resize(group, (-(-rows // len(groups)), columns)) for group in groups]
    indices = np.stack(shown, axis=1).reshape(-1)[:columns * rows]
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn([columns * rows, z_dim], generator=generator)
    c = torch.from_numpy(np.stack([dataset.get_label(int(index)) for index in indices]))
    return Grid((columns, rows), indices, z, c)


def by_class(dataset, order: np.ndarray) -> list[np.ndarray]:
    """The indices `order` parted by their class; one part where there are none."""
    if not dataset.has_onehot_labels:
        return [order]
    classes = np.array([dataset.get_details(int(index)).raw_label for index in order])
    return [order[classes == each] for each in np.unique(classes)]


def real_pictures(grid: Grid, dataset) -> np.ndarray:
    """uint8 [columns·rows, C, H, W]."""
    return np.stack([dataset[int(index)][0] for index in grid.indices])


@torch.no_grad()
def draw_pictures(grid: Grid, G: torch.nn.Module, *, device: torch.device) -> np.ndarray:
    """uint8 [columns·rows, C, H, W], a few at a time, and fewer where that takes too much memory.

    Stored noise uses up nothing random. Raises MemoryError where not even one fits.
    """
    batch = max(1, min(PICTURES, PIXELS // G.img_resolution ** 2, len(grid.z)))
    drawn, done = [], 0
    while done < len(grid.z):
        chosen = slice(done, done + batch)
        try:
            with shortage.explained(*shortage.of_grid(batch, G.img_resolution), device):
                pictures = G(grid.z[chosen].to(device), grid.c[chosen].to(device), noise_mode='const')
                drawn.append(images.to_uint8(pictures))
        except MemoryError:
            if batch == 1:
                raise
            batch //= 2
            torch.cuda.empty_cache()    # of pieces too small for what comes next
        else:
            done += batch
    return np.concatenate(drawn)


def save_pictures(grid: Grid, pictures: np.ndarray, path: str) -> None:
    images.save_image_grid(pictures, path, grid_size=grid.size)


def snapshot_name(kimg: int) -> str:
    """The name of the file with the networks as they were after that many thousand pictures."""
    return f'network-snapshot-{kimg:06d}.pkl'


def save_networks(path: str, models: dict[str, torch.nn.Module], training_set_kwargs: dict,
                  augment_pipe: torch.nn.Module | None = None) -> None:
    """Writes G, D and G_ema as CONTRACT's network pickle."""
    legacy.save_network_pkl(path, **models, training_set_kwargs=training_set_kwargs,
                            augment_pipe=augment_pipe)


def prepare_precision(models: dict[str, torch.nn.Module], device: torch.device, fp32: bool) -> None:
    """Lets the half-precision levels compute in what this machine is fastest in."""
    for module in models.values():
        networks.set_precision(module, torch.float32 if fp32 else networks.fast_dtype(device))
