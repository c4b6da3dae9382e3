"""Losses: hand-worked values, what all have in common, and which can be had."""

import hashlib

import pytest
import torch

from stylegan2_mspe import detector_file
from stylegan2_mspe.inversion import losses
from tests.inversion.small import make_discriminator


def random_pictures(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Detector(torch.nn.Module):
    """As StyleGAN2's vgg16.pt is called."""

    def forward(self, img: torch.Tensor, resize_images: bool = True,
                return_lpips: bool = False) -> torch.Tensor:
        if resize_images or not return_lpips:
            return img[:, :0, 0, 0]
        return img.mean(dim=(2, 3))


class Plain(torch.nn.Module):
    def forward(self, img: torch.Tensor) -> torch.Tensor:
        return img.flatten(1)[:, ::7]


@pytest.fixture(scope='module')
def detectors(tmp_path_factory):
    folder = tmp_path_factory.mktemp('detectors')
    for name, module in dict(vgg=Detector(), plain=Plain()).items():
        torch.jit.script(module).save(folder / f'{name}.pt')
    return folder


@pytest.mark.parametrize('name', ['vgg', 'disc', 'pyramid', 'pixel'])
@pytest.mark.parametrize('shape', [(2, 3, 16, 16), (1, 3, 11, 22), (3, 1, 16, 9), (2, 4, 32, 16)])
def test_every_loss_is_zero_at_the_target_only_and_of_each_picture_alone(name, shape, detectors):
    D = make_discriminator(img_channels=shape[1])
    target = random_pictures(*shape)
    loss = losses.make_loss(name, target, D, str(detectors / 'plain.pt'))
    assert loss(target).shape == shape[:1] and loss(target).abs().max() < 1e-9
    others = random_pictures(*shape, seed=1).requires_grad_()
    found = loss(others)
    assert (found > 1e-3).all()
    if len(target) > 1:
        gradient, = torch.autograd.grad(found[1], others)
        assert gradient[0].abs().max() == 0 and gradient[1].abs().max() > 0
        alone = losses.make_loss(name, target[1:2], D, str(detectors / 'plain.pt'))
        torch.testing.assert_close(alone(others[1:2]), found[1:2], rtol=1e-4, atol=1e-6)


def test_one_target_serves_many_pictures():
    loss = losses.make_loss('pixel', random_pictures(1, 3, 8, 8))
    assert loss(random_pictures(5, 3, 8, 8)).shape == (5,) and loss(random_pictures(0, 3, 8, 8)).shape == (0,)


def test_pixels_and_pyramid_by_hand():
    black, half = torch.full([1, 3, 16, 16], -1.0), torch.full([1, 3, 16, 16], -0.5)
    assert losses.make_loss('pixel', black)(half).item() == pytest.approx(0.25 * (1 + 1 / 2 + 1 / 4 + 1 / 8))
    # An even difference is in the coarsest level only, of which the square weighs 2 ** -3.
    assert losses.make_loss('pyramid', black)(half).item() == pytest.approx(0.25 / 8)
    dot = black.clone()
    dot[0, :, 8, 8] = 1.0   # 2 more: the blur leaves (6/16)² of it in its place
    finest = losses.laplacian_pyramid(dot)[0] - losses.laplacian_pyramid(black)[0]
    assert finest[0, 0, 8, 8].item() == pytest.approx(2 * (1 - 0.375 ** 2))
    assert finest[0, 0, 8, 9].item() == pytest.approx(-2 * 0.375 * 0.25)
    assert finest.sum().item() == pytest.approx(0, abs=1e-5)


def test_lpips_of_a_detector_is_the_sum_of_squares(detectors):
    """StyleGAN2's distance: of features of pictures of 0 ... 255."""
    target, others = random_pictures(2, 3, 8, 8), random_pictures(2, 3, 8, 8, seed=1)
    found = losses.make_loss('vgg', target, detector=str(detectors / 'vgg.pt'))(others)
    wanted = ((others - target).mean(dim=(2, 3)) * 127.5).square().sum(dim=1)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=0)


def test_large_pictures_are_reduced_before_the_detector(detectors):
    target, others = random_pictures(1, 1, 512, 256), random_pictures(1, 1, 512, 256, seed=1)
    found = losses.make_loss('vgg', target, detector=str(detectors / 'plain.pt'))(others)
    smaller = torch.nn.functional.avg_pool2d(others - target, 2).expand(-1, 3, -1, -1).flatten(1)[:, ::7]
    torch.testing.assert_close(found, (smaller * 127.5).square().sum(dim=1), rtol=1e-4, atol=0)


def test_the_best_loss_at_hand(detectors, tmp_path, monkeypatch):
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path))
    D = make_discriminator()
    assert losses.best_at_hand(None, None) == 'pyramid' and losses.best_at_hand(D, None) == 'disc'
    assert losses.best_at_hand(D, 'a.pt') == 'vgg'
    (tmp_path / 'downloads').mkdir()
    url = detector_file.URLS['vgg16']
    kept = tmp_path / 'downloads' / f'{hashlib.md5(url.encode()).hexdigest()}_vgg16.pt'
    kept.write_bytes((detectors / 'vgg.pt').read_bytes())
    assert losses.best_at_hand(D, None) == 'vgg'
    target = random_pictures(1, 3, 8, 8)
    assert losses.make_loss('auto', target, D)(target + 0.1).item() == pytest.approx(3 * 12.75 ** 2, rel=1e-4)


def test_what_can_not_be_had_is_said(tmp_path, monkeypatch):
    target = random_pictures(1, 3, 8, 8)
    with pytest.raises(ValueError, match='--loss=disc: found no discriminator'):
        losses.make_loss('disc', target)
    with pytest.raises(ValueError, match='--detector=.*no.pt: No such file'):
        losses.make_loss('vgg', target, detector=str(tmp_path / 'no.pt'))
    (tmp_path / 'bad.pt').write_bytes(b'nothing')
    with pytest.raises(ValueError, match='bad.pt: found no TorchScript network'):
        losses.make_loss('vgg', target, detector=str(tmp_path / 'bad.pt'))

    def offline(*_, **__):
        raise OSError('found no network')
    monkeypatch.setattr(detector_file.dnnlib.util, 'open_url', offline)
    with pytest.raises(ValueError, match='--detector=https.*found no network.*another --loss'):
        losses.make_loss('vgg', target)
    monkeypatch.setitem(__import__('sys').modules, 'lpips', None)
    with pytest.raises(ValueError, match='--loss=lpips: found no library lpips'):
        losses.make_loss('lpips', target)


def test_the_lpips_library_gets_three_channels_and_the_target(monkeypatch):
    class Library(torch.nn.Module):
        def __init__(self, net, verbose):
            super().__init__()

        def forward(self, a, b):
            assert a.shape == b.shape and a.shape[1] == 3
            return (a - b).square().mean(dim=(1, 2, 3), keepdim=True)

    monkeypatch.setitem(__import__('sys').modules, 'lpips', type('module', (), dict(LPIPS=Library)))
    target, others = random_pictures(1, 1, 8, 8), random_pictures(3, 1, 8, 8, seed=1)
    wanted = (others - target).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(losses.make_loss('lpips', target)(others), wanted)
