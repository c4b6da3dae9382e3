"""From seeds to pictures: a batch is its pictures one by one, a canvas is cropped, precisions agree."""

import pytest
import torch

from ddpm_mspe import sampling
from ddpm_mspe.diffusion import Diffusion
from stylegan2_mspe.pe import Canvas
from tests.tiny_unet import make_unet

FEW = Diffusion(steps=6, first=.02, last=.4)
PLAIN = Canvas.identity(16)


@pytest.mark.parametrize('sampler, eta', [('ancestral', None), ('ddim', None), ('ddim', 1.)])
def test_a_batch_does_not_change_a_picture(sampler, eta):
    net = sampling.prepare(make_unet(), 'cpu', 'fp64')
    canvases = [PLAIN.shifted(0, 0), PLAIN.shifted(4, 0), PLAIN.shifted(.5, 3)]
    together = sampling.sample(net, FEW, [5, 6, 5], canvases, sampler=sampler, eta=eta)
    for index, (seed, canvas) in enumerate(zip([5, 6, 5], canvases)):
        alone = sampling.sample(net, FEW, [seed], canvas, sampler=sampler, eta=eta)
        torch.testing.assert_close(alone[0], together[index], rtol=0, atol=1e-9)
    assert (together[0] - together[1]).abs().mean() > .01 < (together[0] - together[2]).abs().mean()


def test_no_seeds_and_grey():
    net = sampling.prepare(make_unet(img_channels=1), 'cpu')
    assert sampling.sample(net, FEW, []).shape == (0, 1, 16, 16)
    assert sampling.sample(net, FEW, [3], steps=2).abs().max() <= 1


def test_a_canvas_is_cropped_from_whole_cells():
    """Cells of the coarsest level are 4 pixels: 18 x 30 is the part of 20 x 32 at the top left."""
    net = sampling.prepare(make_unet(), 'cpu')
    cut, whole = (sampling.sample(net, FEW, [1], PLAIN.extended(0, down, 0, right))
                  for down, right in ((2, 14), (4, 16)))
    assert cut.shape == (1, 3, 18, 30) and whole.shape == (1, 3, 20, 32)
    assert torch.equal(cut, whole[:, :, :18, :30])


def test_precisions_agree():
    exact = sampling.sample(sampling.prepare(make_unet(), 'cpu', 'fp64'), FEW, [1, 2], sampler='ddim')
    assert exact.dtype == torch.float64
    for precision, bound in (('fp32', 1e-4), ('bf16', .2)):
        found = sampling.sample(sampling.prepare(make_unet(), 'cpu', precision), FEW, [1, 2], sampler='ddim')
        assert found.dtype == torch.float32
        assert (found - exact).abs().mean() < bound * exact.std(), precision
    with pytest.raises(ValueError, match='--precision=fp16'):
        sampling.prepare(make_unet(), 'cpu', 'fp16')


def test_reconstruction_of_a_canvas():
    net = sampling.prepare(make_unet(), 'cpu')
    canvas = PLAIN.extended(0, 2, 0, 5).shifted(3, 0)
    pictures = torch.rand(2, 3, 18, 21) * 2 - 1
    assert torch.equal(sampling.reconstructed(net, FEW, pictures, 0, [1, 2], canvas), pictures)
    near, far = (sampling.reconstructed(net, FEW, pictures, t, [1, 2], canvas) for t in (1, 6))
    assert near.shape == far.shape == pictures.shape
    assert (near - pictures).abs().mean() < (far - pictures).abs().mean()
    alone = sampling.reconstructed(net, FEW, pictures[1:], 6, [2], canvas)
    torch.testing.assert_close(alone[0], far[1], rtol=0, atol=1e-4)
    for wrong in (pictures[:, :1], pictures[:, :, :16]):
        with pytest.raises(ValueError, match='on this canvas'):
            sampling.reconstructed(net, FEW, wrong, 3, [1, 2], canvas)


def test_memory_grows_with_the_canvas():
    net = make_unet()
    one = sampling.picture_bytes(net)
    assert 16 * 16 * 8 * 4 < one < 1e6
    assert sampling.picture_bytes(net, PLAIN.extended(0, 16, 0, 16)) == pytest.approx(4 * one, rel=.01)
    assert sampling.picture_bytes(net.double()) == 2 * one
