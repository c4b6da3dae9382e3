"""Canvases of training steps: which are drawn, and that the way back undoes them."""

import collections

import numpy as np
import pytest
import torch

from stylegan2_mspe import config, networks
from stylegan2_mspe.pe import bordered
from stylegan2_mspe.step_canvas import SHIFTED, StepCanvas, step_canvas
from tests import tiny
from tests.golden import fill


def drawn(count=400, **wishes):
    run = tiny.config('nowhere', **wishes)
    return [step_canvas(run, number) for number in range(count)]


def test_without_a_wish_it_is_the_trained_canvas():
    assert drawn(20) == [None] * 20 and drawn(20, random_resize=(16,)) == [None] * 20


def test_sizes_are_a_function_of_seed_and_step():
    wish = dict(random_resize=(12, 16, 24))
    sizes = collections.Counter(each and each.size for each in drawn(60, **wish))
    assert set(sizes) == {12, None, 24} and min(sizes.values()) > 8
    assert drawn(60, **wish) == drawn(60, **wish) != drawn(60, **wish, seed=4)


def test_most_steps_shift_by_whole_pixels_anywhere_on_both_axes():
    shifts = [(0, 0) if each is None else each.shift for each in drawn(1000, random_shift=True)]
    again, other = drawn(30, random_shift=True), drawn(30, random_shift=True, seed=4)
    assert drawn(30, random_shift=True) == again != other
    assert abs(np.mean([shift != (0, 0) for shift in shifts]) - SHIFTED) < 0.06
    for axis in zip(*(shift for shift in shifts if shift != (0, 0))):
        assert set(axis) == set(range(16)) and all(type(distance) is int for distance in axis)
    assert np.corrcoef(np.transpose([shift for shift in shifts if shift != (0, 0)]))[0, 1] < 0.15


def test_a_shift_comes_back_to_the_same_pixels():
    picture = torch.arange(2 * 16 * 16.).reshape(1, 2, 16, 16)
    one = StepCanvas(16, 16, (5, 14))
    moved = torch.empty_like(picture)
    for y in range(16):
        for x in range(16):     # the canvas says which world pixel an output pixel shows
            world_y, world_x = (int(axis.world(torch.tensor(place + 0.5)))
                                for axis, place in ((one.canvas.rows, y), (one.canvas.cols, x)))
            moved[:, :, y, x] = picture[:, :, world_y, world_x]
    assert not torch.equal(moved, picture) and torch.equal(one.back(moved), picture)


@pytest.mark.parametrize('size', [8, 16, 24])
def test_a_smooth_picture_comes_back_from_another_size_and_place(size):
    one = StepCanvas(16, size, (3, 10))
    y, x = ((axis.world(torch.arange(size) + 0.5) * 2 * torch.pi / 16).float()
            for axis in (one.canvas.rows, one.canvas.cols))
    picture = (y.sin()[:, None] + 0.5 * x.cos()[None])[None, None]
    world = (torch.arange(16) + 0.5) * 2 * torch.pi / 16
    expected = (world.sin()[:, None] + 0.5 * world.cos()[None])[None, None]
    back = one.back(picture)
    assert back.shape == (1, 1, 16, 16)
    border = torch.zeros(16, 16, dtype=torch.bool)      # of the canvas, which is not seen beyond
    border[[-5, -4, -3, -2], :] = border[:, [4, 5, 6, 7]] = True
    inner = ~border if size != 16 else torch.ones_like(border)
    assert float((back - expected)[:, :, inner].abs().max()) < (0.12 if size != 16 else 1e-5)


def test_whole_cells_of_the_coarsest_level_come_back_the_same_but_for_the_border():
    """A real network: at 4-pixel shifts of a 16-pixel world every level sees its own coordinates, rolled."""
    G = fill(networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=2),
                                synthesis_kwargs=dict(channel_base=128, channel_max=8, pe='mspe')))
    ws = G.mapping(torch.randn([3, 8], generator=torch.Generator().manual_seed(1)), None)
    straight = G.synthesis(ws, noise_mode='none')
    by_cells, between = (one.back(G.synthesis(ws, noise_mode='none', canvas=one.canvas))
                         for one in (StepCanvas(16, 16, (0, 4)), StepCanvas(16, 16, (0, 6))))
    coordinates = StepCanvas(16, 16, (0, 4)).canvas.coordinates(4)
    assert coordinates.x.tolist() == [3, 0, 1, 2] and coordinates.y.tolist() == [0, 1, 2, 3]
    near, far = ((each - straight).abs().mean() for each in (by_cells, between))
    assert 0 < near < far


@pytest.mark.parametrize('size, shift', [(16, (0, 0)), (24, (3, 8))])
def test_a_part_of_the_pictures_is_drawn_without_a_border(size, shift):
    G = fill(networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=2),
                                synthesis_kwargs=dict(channel_base=128, channel_max=8, pe='mspe'))).double()
    for block in (G.synthesis.b4, G.synthesis.b8, G.synthesis.b16):     # noise is fresh, and must not be here
        for layer in block.children():
            layer.use_noise = False
    ws = G.mapping(torch.randn([8, 8], generator=torch.Generator().manual_seed(1)), None)
    for margin, count in ((.25, 2), (1, 8), (0, 0)):
        step = StepCanvas(16, size, shift, margin)
        pictures = step.draw(G.synthesis, ws)
        for part, border in ((slice(0, count), 'plane'), (slice(count, None), 'zero')):
            if len(ws[part]):
                canvas = step.canvas.wrapped() if border == 'plane' else step.canvas
                place = bordered(canvas, border, 16)
                expected = step.back(G.synthesis(ws[part], canvas=place))
                assert (pictures[part] - expected).abs().max() < 1e-12 * expected.std()
    assert drawn(3, random_margin=.25) == [StepCanvas(16, 16, (0, 0), .25)] * 3
    sizes = {each.size for each in drawn(60, random_margin=.5, random_resize=(12, 16))}
    assert sizes == {12, 16}


@pytest.mark.parametrize('margin', [0, 1])
def test_without_a_border_pictures_of_other_sizes_go_round_whether_shifted_or_not(margin):
    own = {} if margin else dict(border='plane')
    G = fill(networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=2), synthesis_kwargs=dict(
        channel_base=128, channel_max=8, pe='mspe', use_noise=False, **own))).double()
    ws = G.mapping(torch.randn([2, 8], generator=torch.Generator().manual_seed(1)), None)

    class Raw(StepCanvas):          # as drawn, for resizing sees a border
        def back(self, pictures):
            return pictures

    still, moved = (Raw(16, 24, shift, margin, 'zero' if margin else 'plane').draw(G.synthesis, ws)
                    for shift in ((0, 0), (8, 0)))
    # 8 world pixels are 12 of these, three whole cells of the coarsest level.
    assert (moved - still.roll(12, 2)).abs().max() < 1e-10 * still.std()
    wish = dict(random_resize=(12, 24), border='plane')
    assert all(each.border == 'plane' for each in drawn(9, **wish))
    assert drawn(9, random_resize=(16,), border='plane') == [None] * 9


def test_the_preset_shifts():
    for name in ('mspe-plus', 'mspe-plus-small'):
        plain = config.PRESETS[name.replace('-plus', '')]
        assert config.PRESETS[name] == plain._replace(shift=True, border='plane', pe='mspe-periodic') != plain
    assert [name for name, row in config.PRESETS.items() if row.shift] == ['mspe-plus', 'mspe-plus-small']
