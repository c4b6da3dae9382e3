"""Directions of w that change pictures most, from the weights alone: SeFa (Shen and Zhou, CVPR 2021).

A layer's style is an affine function A w + b; a step n of w changes it by A n. The steps of length 1 that
change the styles of some layers most are the eigenvectors of the sum of AᵀA with the largest eigenvalues.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from stylegan2_mspe.files import atomic_write

LARGEST = 1 << 30               # bytes of a file of directions, unpacked


class StyleLayer(NamedTuple):
    """A layer that has a style of its own."""
    name: str                   # such as b8.conv0
    index: int                  # which of the ws it takes
    weight: torch.Tensor        # [channels, w_dim], as it is applied
    rgb: bool                   # whether it only makes colours of what there is


@dataclasses.dataclass(frozen=True)
class Directions:
    """Unit steps of w, the strongest first, and the ws that they are meant for."""
    vectors: torch.Tensor       # [K, w_dim] float64
    values: torch.Tensor        # [K] float64: eigenvalues
    layers: tuple[int, ...]     # indices of ws


def style_layers(synthesis: torch.nn.Module) -> list[StyleLayer]:
    """All layers with a style; a block's RGB layer shares its w with the next block's first."""
    layers, first = [], 0
    for resolution in synthesis.block_resolutions:
        block = getattr(synthesis, f'b{resolution}')
        names = [name for name in ('conv0', 'conv1', 'torgb') if hasattr(block, name)]
        for offset, name in enumerate(names):
            affine = getattr(block, name).affine
            weight = affine.weight.detach().double() * affine.weight_gain
            layers.append(StyleLayer(f'b{resolution}.{name}', first + offset, weight, name == 'torgb'))
        first += block.num_conv
    return layers


def factorise(G: torch.nn.Module, layers: Sequence[int] | None = None, rgb: bool = False,
              normalise: bool = False) -> Directions:
    """All w_dim directions of the layers that take the ws of these indices (None: all).

    rgb: whether RGB layers count. normalise: whether every layer has the same say, its matrix scaled to a
    Frobenius norm of 1; otherwise loud and wide ones have more. The largest component of a direction is
    positive. Raises ValueError where the network has no such layer.
    """
    check_layers(layers, G.num_ws)
    chosen = [layer for layer in style_layers(G.synthesis)
              if (layers is None or layer.index in layers) and (rgb or not layer.rgb)]
    if not chosen:
        raise ValueError(f'--layers: found only layers that make colours in {sorted(set(layers))}, expected '
                         'others, or --rgb')
    weights = [layer.weight / layer.weight.norm() if normalise else layer.weight for layer in chosen]
    values, vectors = torch.linalg.eigh(sum(weight.T @ weight for weight in weights).cpu())
    vectors, values = vectors.T.flip(0), values.flip(0)
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    return Directions(vectors * largest.sign(), values, tuple(sorted({layer.index for layer in chosen})))


def check_layers(layers: Sequence[int] | None, num_ws: int) -> None:
    """Raises ValueError for a layer that the network does not have."""
    if layers is not None and (not layers or max(layers) >= num_ws or min(layers) < 0):
        raise ValueError(f'--layers: found {max(layers, default="none")}, expected 0 to {num_ws - 1} for '
                         'this network')


def check_direction(directions: Directions, index: int) -> None:
    """Raises ValueError where there is no such direction."""
    if not 0 <= index < len(directions.vectors):
        raise ValueError(f'--edit: found direction {index}, expected 0 to {len(directions.vectors) - 1}')


def edit(ws: torch.Tensor, directions: Directions, index: int, strength: float) -> torch.Tensor:
    """ws [N, num_ws, w_dim] moved by `strength` along a direction, in the layers it is meant for.

    Raises ValueError where there is no such direction.
    """
    check_direction(directions, index)
    ws = ws.clone()
    ws[:, list(directions.layers)] += strength * directions.vectors[index].to(ws)
    return ws


def save_directions(path: str | os.PathLike, directions: Directions) -> None:
    """Writes vectors, values and layers as an .npz file. Raises OSError."""
    with atomic_write(path) as file:
        np.savez(file, vectors=directions.vectors.numpy(), values=directions.values.numpy(),
                 layers=np.array(directions.layers))


def load_directions(path: str | os.PathLike, num_ws: int, w_dim: int) -> Directions:
    """Reads what save_directions wrote. Raises ValueError unless it fits such ws, OSError."""
    expected = f'expected an .npz file of tools/sefa.py for {num_ws} latents of {w_dim} numbers'
    if os.path.getsize(path) > LARGEST:
        raise ValueError(f'--directions={path}: found {os.path.getsize(path)} bytes, {expected}')
    try:
        with np.load(path, allow_pickle=False) as file:
            vectors, values, layers = (np.asarray(file[name]) for name in ('vectors', 'values', 'layers'))
        fits = (vectors.ndim == 2 and vectors.shape[1] == w_dim and values.shape == vectors.shape[:1]
                and np.isfinite(vectors).all() and 0 <= layers.min() and layers.max() < num_ws)
    except Exception as error:  # numpy raises whatever zip, header or data stumble over
        raise ValueError(f'--directions={path}: found {error}, {expected}') from error
    if not fits:
        raise ValueError(f'--directions={path}: found {list(vectors.shape)} numbers, {expected}')
    return Directions(torch.from_numpy(vectors).double(), torch.from_numpy(values).double(),
                      tuple(map(int, layers)))
