"""Eq. C against patches worked out by hand, and the curve of a generator that moves perfectly, or not at
all.
"""

import numpy as np
import pytest
import torch

from stylegan2_mspe import networks, similarity
from stylegan2_mspe.pe import Canvas
from tests.golden import fill


def test_eq_c_by_hand():
    a = torch.tensor([[[0.2, 0.5, 1.0], [0.0, 0.25, 0.75]]])
    b = torch.tensor([[[0.4, 0.5, 0.5], [0.1, 0.00, 1.00]]])
    expected = (0.2 + 0.5 + 0.5 + 0.0 + 0.0 + 0.75) / (0.4 + 0.5 + 1.0 + 0.1 + 0.25 + 1.0)
    assert similarity.similarity(a, b).item() == pytest.approx(expected, abs=1e-7)
    assert similarity.similarity(a[:, None], b[:, None]).item() == pytest.approx(expected, abs=1e-7)
    many = similarity.similarity(torch.cat([a, a, 0 * a]), torch.cat([a, 0 * a, 0 * a]))
    assert many.tolist() == [1, 0, 1]       # alike, nothing in common, both black
    assert similarity.similarity(a[:0], b[:0]).shape == (0,)
    with pytest.raises(ValueError, match=r'\[1, 2, 3\] with \[1, 2, 2\]'):
        similarity.similarity(a, b[:, :, :2])


def test_grey_is_luma_in_0_1_seen_before_black():
    pixel = torch.tensor([1.0, -1.0, 0.0, 0.5]).reshape(1, 4, 1, 1)
    luma = 0.299 * 1 + 0.587 * 0 + 0.114 * 0.5
    assert similarity.grey(pixel[:, :3]).item() == pytest.approx(luma, abs=1e-6)
    assert similarity.grey(pixel).item() == pytest.approx(luma * 0.75, abs=1e-6)
    assert similarity.grey(pixel[:, :1] * 3).item() == 1                 # clipped
    with pytest.raises(ValueError, match='not 2'):
        similarity.grey(pixel[:, :2])


def test_patches_go_round():
    images = torch.arange(12.).reshape(1, 3, 4)
    assert similarity.patch_at(images, 2, 3, 2).tolist() == [[[11, 8], [3, 0]]]
    assert similarity.patch_at(images, -1, 0, 2).tolist() == [[[8, 9], [0, 1]]]


def test_directions():
    assert similarity.along('down', [0, 3]) == [(0, 0), (3, 0)]
    assert similarity.along('right', range(1, 3)) == [(0, 1), (0, 2)]
    assert similarity.along('diagonal', [5]) == [(5, 5)]
    with pytest.raises(ValueError, match='up'):
        similarity.along('up', [1])


class Stub(torch.nn.Module):
    """Draws a fixed random picture per seed; rolls it as the canvas says, or stays where it is."""

    def __init__(self, moves, img_channels=3):
        super().__init__()
        self.moves, self.img_channels = moves, img_channels
        self.img_resolution, self.z_dim, self.c_dim = 64, 4, 0
        self.scale = torch.nn.Parameter(torch.ones([]))

    def mapping(self, z, c):
        return z[:, None]

    def synthesis(self, ws, canvas=None, noise_mode='random', **_):
        assert noise_mode == 'const'
        seeds = (ws[:, 0, 0].abs() * 1e6).long().tolist()
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        size = [self.img_channels, 64, 64]
        pictures = torch.stack([torch.rand(size, generator=one) for one in generators]) * 2 - 1
        axes = () if canvas is None else (canvas.rows, canvas.cols)
        shift = [-int(axis.pieces[0].world) for axis in axes] or (0, 0)
        return pictures.roll(shift, dims=(2, 3)) if self.moves else pictures


def test_a_generator_that_moves_scores_1_and_one_that_does_not_scores_what_its_picture_does():
    shifts = [(0, 0), (5, 0), (0, 40), (-3, 7)]
    moved = similarity.shift_similarity(Stub(True), shifts, range(5), batch=2)
    assert moved == pytest.approx(np.ones([4, 5]))
    still = similarity.shift_similarity(Stub(False, img_channels=1), shifts, [3], batch=2)
    picture = similarity.grey(Stub(False, img_channels=1).synthesis(
        torch.from_numpy(np.random.RandomState(3).randn(1, 1, 4)), noise_mode='const')).numpy()[0]
    rolled = np.roll(picture, (-5, 0), (0, 1))[:32, :32]
    expected = np.minimum(picture[:32, :32], rolled).sum() / np.maximum(picture[:32, :32], rolled).sum()
    assert still[0, 0] == 1 and still[1, 0] == pytest.approx(expected, abs=1e-6) and still[1, 0] < 0.6
    with pytest.raises(ValueError, match='0,0.5'):
        similarity.shift_similarity(Stub(True), [(0, 0.5)], [0])


def test_batches_do_not_matter_to_a_real_network():
    G = fill(networks.Generator(z_dim=8, c_dim=3, w_dim=8, img_resolution=16, img_channels=3,
                                mapping_kwargs=dict(num_layers=2),
                                synthesis_kwargs=dict(channel_base=64, channel_max=8, pe='mspe')))
    shifts = similarity.along('down', [0, 4, 16])
    together = similarity.shift_similarity(G, shifts, range(5), patch=8)
    alone = similarity.shift_similarity(G, shifts, range(5), patch=8, batch=2)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together[0], 1)
    assert (together[1] < 1).all()
    ws = G.mapping(torch.from_numpy(np.random.RandomState(4).randn(1, 8)), torch.eye(3)[[1]])
    pictures = [similarity.grey(G.synthesis(ws, noise_mode='const', canvas=canvas))
                for canvas in (None, Canvas.identity(16).shifted(4, 0))]
    by_hand = similarity.similarity(pictures[0][:, :8, :8], pictures[1][:, 4:12, :8])
    assert together[1, 4] == pytest.approx(by_hand.item(), abs=1e-5)
