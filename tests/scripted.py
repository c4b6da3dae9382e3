"""TorchScript networks that are called as StyleGAN2's detectors are, small and made here."""

import functools
import pathlib
import tempfile

import torch


class Inception(torch.nn.Module):
    """12 features: means of a quarter of a channel; five classes, by the first five of them."""

    def forward(self, img: torch.Tensor, return_features: bool = False,
                no_output_bias: bool = False) -> torch.Tensor:
        features = torch.nn.functional.adaptive_avg_pool2d(img.to(torch.float32) / 255, [2, 2]).flatten(1)
        if return_features:
            return features
        return torch.softmax(features[:, :5] * (8. if no_output_bias else 0.), dim=1)


class Vgg16(torch.nn.Module):
    """Its LPIPS is the squared difference of the channels' means, as shares of 255."""

    def forward(self, img: torch.Tensor, resize_images: bool = True, return_features: bool = False,
                return_lpips: bool = False) -> torch.Tensor:
        if return_lpips and not resize_images:
            return img.mean(dim=[2, 3]) / 255
        if not return_features:
            return img[:, :0, 0, 0]
        return torch.nn.functional.adaptive_avg_pool2d(img.to(torch.float32), [3, 1]).flatten(1)


class Plain(torch.nn.Module):
    """A user's own: takes pictures and nothing else, gives maps."""

    def forward(self, img: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(img.to(torch.float32), [2, 1])


@functools.cache
def folder() -> pathlib.Path:
    """With the files inception-2015-12-05.pt, vgg16.pt and plain.pt; made once, gone with the process."""
    kept = tempfile.TemporaryDirectory(prefix='detectors-')
    folder.kept = kept
    path = pathlib.Path(kept.name)
    for name, module in {'inception-2015-12-05': Inception(), 'vgg16': Vgg16(), 'plain': Plain()}.items():
        torch.jit.script(module).save(path / f'{name}.pt')
    return path
