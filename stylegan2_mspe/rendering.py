"""From seeds and a wish (which part of the world, moved how, at which size) to pictures."""

from collections.abc import Sequence

import numpy as np
import torch

from stylegan2_mspe import free_memory, networks
from stylegan2_mspe.shortage import is_shortage
from stylegan2_mspe.pe import Canvas, Place, bordered

PRECISIONS = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16, fp64=torch.float64)
MAPS = {4: 5, 8: 13}    # feature maps alive at a time, by bytes per number


def seed_latents(seeds: Sequence[int], z_dim: int) -> np.ndarray:
    """z [N, z_dim], float64, of each seed, as every StyleGAN2 tool draws it."""
    rows = [np.random.RandomState(seed).randn(1, z_dim) for seed in seeds]
    return np.concatenate(rows) if rows else np.empty([0, z_dim])


def class_labels(G: torch.nn.Module, classes: Sequence[int]) -> torch.Tensor:
    """One-hot labels [N, c_dim] (c_dim 0: [N, 0]) on the network's device."""
    labels = torch.zeros([len(classes), G.c_dim], device=next(G.parameters()).device)
    if G.c_dim:
        labels[range(len(classes)), list(classes)] = 1
    return labels


def seed_labels(G: torch.nn.Module, seeds: Sequence[int]) -> torch.Tensor:
    """Labels [N, c_dim] that go through the classes with the seeds."""
    return class_labels(G, [seed % max(G.c_dim, 1) for seed in seeds])


def seed_ws(G: torch.nn.Module, seeds: Sequence[int]) -> torch.Tensor:
    """ws [N, num_ws, w_dim] of the seeds; conditional networks go through their classes."""
    z = torch.from_numpy(seed_latents(seeds, G.z_dim)).to(next(G.parameters()).device)
    return G.mapping(z, seed_labels(G, seeds))


def axes_that_wrap(resolution: int, box: tuple[int, int] | None, moved: bool,
                   border: str) -> tuple[bool, bool]:
    """Which of rows and columns go round in a circle where nobody says.

    Those along which the box is as long as the trained picture, where content is moved (the paper's circular
    shift) or the picture has no border. What is only drawn at another size ends where it ended in training:
    the learned constant of the baseline is interpolated with its edges held, as StyleGAN2's is for Table 1,
    and takes nothing from the opposite side.
    """
    return tuple(length == resolution and (moved or border == 'plane') for length in box or (resolution,) * 2)


def trained_canvas(G: torch.nn.Module, border: str | None = None) -> Canvas:
    """The trained picture, with that border (None: the network's)."""
    wraps = axes_that_wrap(G.img_resolution, None, False, border or G.synthesis.border)
    return Canvas.identity(G.img_resolution).wrapped(wraps)


def request_canvas(resolution: int, box: tuple[int, int] | None = None, shift: tuple[float, float] = (0, 0),
                   size: tuple[int, int] | None = None, wrap: bool | tuple[bool, bool] | None = None,
                   border: str = 'zero') -> Canvas | None:
    """The canvas for a box (height, width) about the trained picture, content shifted, drawn at a size.

    The box shares what it adds to, or cuts from, the trained picture between both sides; an odd pixel is the
    bottom's and the right's (Sec. 4.3). wrap: whether an axis goes round (None: as `axes_that_wrap` says) or
    is extrapolated. border: with which it will be drawn. Returns None where that is the trained picture
    itself.
    """
    trained = Canvas.identity(resolution)
    borders = []
    for length in box or (resolution, resolution):
        before = int((length - resolution) / 2)
        borders += [before, length - resolution - before]
    wraps = axes_that_wrap(resolution, box, any(shift), border) if wrap is None else wrap
    canvas = trained.extended(*borders).shifted(*shift, wrap=wraps)
    canvas = canvas if size is None else canvas.resized(*size)
    return None if canvas == trained.wrapped(border == 'plane') else canvas


def is_extrapolated(canvas: Canvas | None) -> bool:
    """Whether the canvas shows anything beyond three times the trained extent, [-R, 2R] on either axis."""
    if canvas is None:
        return False
    for axis in (canvas.rows, canvas.cols):
        low, high = axis.world(torch.tensor([0.0, axis.length])).tolist()
        if axis.period is None and not -canvas.resolution <= low <= high <= 2 * canvas.resolution:
            return True
    return False


def prepare(G: torch.nn.Module, device: torch.device | str, precision: str = 'fp32') -> torch.nn.Module:
    """Moves the network, in place, to the device and sets what it computes in: fp32, fp16, bf16 or fp64.

    Half precision concerns the levels that were trained with it. Raises ValueError where the device can't.
    """
    dtype = PRECISIONS[precision]
    device = torch.device(device)
    if device.type == 'cpu' and dtype == torch.float16:
        raise ValueError('--precision=fp16 on a CPU: expected fp32, bf16 or fp64 there')
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    networks.set_precision(G, dtype if dtype.itemsize < 4 else torch.float32)
    G = G.to(device, torch.float64 if dtype == torch.float64 else torch.float32)
    return G.eval().requires_grad_(False)


@torch.no_grad()
def render(G: torch.nn.Module, ws: torch.Tensor, canvas: Place = None, noise_mode: str = 'const',
           noise_seed: int | torch.Tensor = 0, border: str | None = None) -> torch.Tensor:
    """Pictures [N, C, H, W], about [-1, 1], of ws [N, num_ws, w_dim] on the canvas (None: the trained).

    canvas: also one per sample, or a window. noise_seed: of noise_mode 'anchored', one, or one per sample as
    int64 [N]. border: 'zero', padding beyond the canvas, 'plane', pictures without a border, or None, as the
    network was trained. Raises MemoryError where they do not fit after all.
    """
    try:
        if border is not None and border != G.synthesis.border:
            canvas = bordered(canvas, border, G.img_resolution)
        return G.synthesis(ws, canvas=canvas, noise_mode=noise_mode, noise_seed=noise_seed)
    except RuntimeError as error:
        if not is_shortage(error):
            raise
        raise MemoryError(str(error).splitlines()[0]) from error


def render_each(G: torch.nn.Module, ws: torch.Tensor, canvases: Sequence[Canvas], noise_mode: str = 'const',
                noise_seed: int | torch.Tensor = 0, border: str | None = None,
                batch: int | None = None) -> list[torch.Tensor]:
    """Pictures [C, H, W] of ws [N, num_ws, w_dim] on a canvas each, of any sizes, in their order.

    Canvases that are alike in size and wrapping share a batch, of at most `batch` pictures, None: of those
    that fit. Raises ValueError where not even one does.
    """
    kinds = {}
    for index, canvas in enumerate(canvases):
        wraps = canvas.rows.period is not None, canvas.cols.period is not None
        kinds.setdefault((canvas.height, canvas.width, wraps), []).append(index)
    pictures = [None] * len(canvases)
    for (height, width, _), members in kinds.items():
        most = batch or batch_that_fits(G, (height, width), f'canvas {height}x{width}')
        for start in range(0, len(members), most):
            part = members[start:start + most]
            one_seed = not isinstance(noise_seed, torch.Tensor) or noise_seed.ndim == 0
            drawn = render(G, ws[part], [canvases[index] for index in part], noise_mode,
                           noise_seed if one_seed else noise_seed[part], border)
            for index, picture in zip(part, drawn):
                pictures[index] = picture
    return pictures


def picture_bytes(G: torch.nn.Module, height: int, width: int) -> int:
    """About how much memory rendering one picture of that size takes at its peak, in bytes.

    A scale holds several maps of its channels at a time: its input, what the convolution and the filter leave
    between them, the encoding and the output. How many was measured on a CPU, where convolutions in float64
    unfold their input. The margin of a picture without a border is left out: it is wide at the coarse levels,
    which do not count, and a cell at the finest, which adds 6 % to 64 pixels and less to more, where what is
    said here is half as much again as the process was seen to take.
    """
    cell = G.img_resolution // 4
    height, width = (-(-length // cell) * cell for length in (height, width))
    return max(level_bytes(G, resolution, height * width * resolution ** 2 // G.img_resolution ** 2)
               for resolution in G.synthesis.block_resolutions)


def level_bytes(G: torch.nn.Module, resolution: int, cells: int) -> int:
    """The same for one level, of that many cells."""
    itemsize = next(G.parameters()).element_size()
    channels = getattr(G.synthesis, f'b{resolution}').conv1.weight.shape[0]
    return cells * (MAPS[itemsize] * channels + 4 * G.img_channels) * itemsize


def batch_that_fits(G: torch.nn.Module, size: tuple[int, int], asked_by: str, most: int = 16) -> int:
    """How many pictures of size (height, width) to render at a time, 1…most.

    Raises ValueError in the words of `asked_by` (such as '--canvas=1x1') where not even one fits.
    """
    device = next(G.parameters()).device
    what = f'{asked_by}: a picture of {size[0]}x{size[1]} pixels'
    return free_memory.batch_that_fits(picture_bytes(G, *size), device, what, most)
