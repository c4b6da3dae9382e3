"""From seeds and a canvas to pictures: noise, network and sampler put together; memory for them."""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ddpm_mspe import samplers
from ddpm_mspe.diffusion import Diffusion, Predict
from ddpm_mspe.noise import noise_of
from ddpm_mspe.reconstruction import reconstruct
from ddpm_mspe.samplers import Noise, Progress
from ddpm_mspe.unet import Upsample
from stylegan2_mspe.pe import Canvas

HALF = dict(bf16=torch.bfloat16, fp16=torch.float16)
MAPS = 6                # feature maps of the widest block alive at a time, besides the skips; measured

Place = Canvas | Sequence[Canvas] | None


def prepare(unet: torch.nn.Module, device: torch.device | str, precision: str = 'fp32') -> torch.nn.Module:
    """Moves the U-Net, in place, to the device, to compute in fp32, bf16, fp16 or fp64.

    Raises ValueError where the device can't.
    """
    device = torch.device(device)
    if device.type == 'cpu' and precision == 'fp16':
        raise ValueError('--precision=fp16 on a CPU: expected fp32, bf16 or fp64 there')
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    unet.half_dtype = HALF.get(precision)
    unet = unet.to(device, torch.float64 if precision == 'fp64' else torch.float32)
    return unet.eval().requires_grad_(False)


def predictor(unet: torch.nn.Module, diffusion: Diffusion, canvas: Place = None) -> Predict:
    """The U-Net on a canvas as the samplers call it."""
    half = getattr(unet, 'half_dtype', None)

    def network(x, t):
        with torch.autocast(x.device.type, half, enabled=half is not None):
            return unet(x, t, canvas)
    return functools.partial(diffusion.predicted, network)


def noise_for(unet: torch.nn.Module, seeds: Sequence[int], canvas: Place = None) -> Noise:
    """The seeds' noise on the cells of a canvas, on the U-Net's device."""
    where = Canvas.identity(unet.img_resolution) if canvas is None else canvas
    weight = next(unet.parameters())
    noise = noise_of(seeds, unet.img_channels, where, unet.coarsest, weight.device)
    return lambda t: noise(t).to(weight.dtype)


def sample(unet: torch.nn.Module, diffusion: Diffusion, seeds: Sequence[int], canvas: Place = None, *,
           sampler: str = 'ancestral', steps: int | None = None, eta: float | None = None,
           progress: Progress = iter) -> torch.Tensor:
    """Pictures [N, C, H, W], in [-1, 1], of the seeds on a canvas, or on one each.

    steps: None = all of the schedule. eta: None = the sampler's own. A picture does not depend on the others
    of its batch.
    """
    noise = noise_for(unet, seeds, canvas)
    eta = samplers.ETA[sampler] if eta is None else eta
    times = samplers.strided(diffusion.steps, steps)
    x = samplers.SAMPLERS[sampler](predictor(unet, diffusion, canvas), diffusion, noise(diffusion.steps),
                                   times, noise, eta=eta, progress=progress)
    return _cropped(x, unet, canvas)


def reconstructed(unet: torch.nn.Module, diffusion: Diffusion, pictures: torch.Tensor, t: int,
                  seeds: Sequence[int], canvas: Place = None, *, sampler: str = 'ancestral',
                  steps: int | None = None, eta: float | None = None,
                  progress: Progress = iter) -> torch.Tensor:
    """Reconstructions of pictures [N, C, H, W] that show a canvas, from t steps of noise (Fig. 9).

    Raises ValueError for pictures of another size than the canvas, or of other channels than the U-Net.
    """
    height, width = unet.cells(canvas)
    expected = [unet.img_channels, *_size(unet, canvas)]
    if list(pictures.shape[1:]) != expected:
        raise ValueError(f'pictures of shape {list(pictures.shape[1:])}: expected {expected} on this canvas')
    pictures = pictures.to(next(unet.parameters()))
    border = [0, width - pictures.shape[3], 0, height - pictures.shape[2]]
    pictures = F.pad(pictures, border, mode='replicate')
    x = reconstruct(predictor(unet, diffusion, canvas), diffusion, pictures, t,
                    noise_for(unet, seeds, canvas), steps=steps, sampler=sampler, eta=eta, progress=progress)
    return _cropped(x, unet, canvas)


def _size(unet: torch.nn.Module, canvas: Place) -> tuple[int, int]:
    one = canvas if canvas is None or isinstance(canvas, Canvas) else canvas[0]
    return (unet.img_resolution,) * 2 if one is None else (one.height, one.width)


def _cropped(x: torch.Tensor, unet: torch.nn.Module, canvas: Place) -> torch.Tensor:
    """Without the rest of the last cells of the coarsest level."""
    height, width = _size(unet, canvas)
    return x[:, :, :height, :width]


def picture_bytes(unet: torch.nn.Module, canvas: Place = None) -> int:
    """About how much memory one picture takes at its peak, in bytes: the skips and the widest block."""
    share = (unet.coarsest / unet.img_resolution) ** 2      # cells of a level for each pixel
    skips, widest = 0., 0.
    for part in unet.up:                                    # one stage for each skip
        if isinstance(part, Upsample):
            share *= 4
            continue
        inputs, outputs = part.block.norm1.num_channels, part.block.norm2.num_channels
        skips, widest = skips + outputs * share, max(widest, inputs * share)
    height, width = unet.cells(canvas)
    return round(height * width * (skips + MAPS * widest)) * next(unet.parameters()).element_size()
