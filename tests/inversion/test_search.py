"""The search for a place: its grid, its filters, and what it compares."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from stylegan2_mspe import free_memory, rendering
from stylegan2_mspe.inversion import search
from stylegan2_mspe.inversion.latents import statistics
from stylegan2_mspe.inversion.place import Place
from stylegan2_mspe.inversion.projection import draw
from tests.inversion.small import make_generator, place_at


def test_a_turn_of_starts_where_it_wraps():
    grid = search.starts(Place.of(16, (16, 16), [[0, 0]], [1], (True, True)), ('shift',))
    wanted = torch.cartesian_prod(torch.arange(0, 16, 2.0), torch.arange(0, 16, 2.0)).double()
    assert torch.equal(grid.shift, wanted) and (grid.zoom == 1).all()


def test_starts_that_leave_half_of_the_trained_picture_in_sight():
    grid = search.starts(Place.of(16, (16, 40), [[0, 0]], [2], (False, False)), ('shift',))
    # At zoom 2 the canvas is 8 x 20 world pixels large; from -8 to 0 down, and to 12 right, a pixel apart.
    assert torch.equal(grid.shift[:, 0].unique(), torch.arange(-8, 0.0).double())
    assert torch.equal(grid.shift[:, 1].unique(), torch.arange(-8, 12.0).double())
    assert len(grid.shift) == 8 * 20 and (grid.zoom == 2).all()


def test_zooms_are_tried_where_they_are_looked_for():
    start = Place.of(16, (16, 16), [[3, 4]], [1], (False, False))
    alone = search.starts(start, ('zoom',))
    assert alone.zoom[:, 0].tolist() == list(search.ZOOMS) and (alone.shift == start.shift).all()
    both = search.starts(start, ('shift', 'zoom'))
    assert set(both.zoom[:, 0].tolist()) == set(search.ZOOMS) and len(both.shift) > 100


@pytest.mark.parametrize('widths', [(0.5,), (2.0, 0.7)])
def test_bands_are_blind_to_what_is_even_and_the_distance_to_contrast(widths):
    pictures = torch.rand(2, 3, 20, 33, generator=torch.Generator().manual_seed(0))
    bands = search.band(pictures, widths[0])
    assert bands.shape == (2, 3 * 20 * 33)
    torch.testing.assert_close(search.band(3 * pictures + 1, widths[0]), 3 * bands, rtol=1e-4, atol=1e-5)
    distance = search.distance_from(pictures, widths)
    torch.testing.assert_close(distance(3 * pictures + 1), torch.zeros(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(distance(-pictures), torch.full([2], 2.0))
    assert (distance(pictures.flip(0)) > 0.5).all()


def test_the_distance_is_the_mean_over_bands():
    pictures = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    both, coarse, fine = (search.distance_from(pictures[:1], widths)(pictures[1:])
                          for widths in ((2.0, 0.7), (2.0,), (0.7,)))
    torch.testing.assert_close(both, (coarse + fine) / 2)
    assert (coarse - fine).abs().max() > 0.01


def test_a_gaussian_keeps_the_sum_and_has_its_width():
    dot = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    dot[0, 0, 20, 20] = 1
    blurred = search.blurred(dot, 3.0)[0, 0]
    distance = torch.arange(-20.0, 21).square().double()
    assert blurred.sum().item() == pytest.approx(1)
    # It is cut at three deviations.
    assert (blurred.sum(dim=1) * distance).sum().item() == pytest.approx(9, rel=0.1)


def test_a_gaussian_repeats_the_border_and_minds_no_other_channel():
    pictures = torch.rand(2, 3, 9, 14, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for sample, channel in ((0, 0), (1, 2)):
        wanted = scipy.ndimage.gaussian_filter(pictures[sample, channel].numpy(), 1.2, mode='nearest',
                                               radius=3)
        found = search.blurred(pictures, 1.2)[sample, channel].numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-7)


def test_the_lowest_of_each_row():
    losses = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    assert search.choose(losses, 2).tolist() == [1, 2, 3, 5]
    assert search.choose(losses, 9).tolist() == [1, 2, 0, 3, 5, 4]


def test_the_best_latents_are_tried_at_every_place():
    """Of two targets, each drawn by one of the samples at one of their places."""
    G = make_generator()
    samples = G.mapping(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), None)[:, 0]
    place = place_at(G, (1, 2), (9, 4), (5, 5), (0, 11))        # two for each target
    own = G.mapping(torch.randn(4, 8, generator=torch.Generator().manual_seed(1)), None)
    stage = search.Stage(places=2, latents=5, starts=2, steps=1, widths=(1 / 4,))
    with torch.no_grad():       # the first is at its second place; the second has its own latent already
        drawn = torch.cat([draw(G, samples[3:4, None].expand(-1, G.num_ws, -1), place[1:2], finest=4),
                           draw(G, own[2:3], place[2:3], finest=4)])
    calls = []
    ws, found = search.try_latents(G, drawn, own, place, samples, stage, lambda: calls.append(1))
    assert ws.shape == (4, G.num_ws, 8) and len(found.shift) == 4 and len(calls) == 4
    torch.testing.assert_close(ws[0, 0], samples[3])
    torch.testing.assert_close(ws[2], own[2])
    assert found.shift[0].tolist() == [9, 4] and found.shift[2].tolist() == [5, 5]


def test_where_memory_is_short_fewer_pictures_are_drawn_at_a_time(monkeypatch):
    G, counts = make_generator(), []
    ws = G.mapping(torch.randn(2, 8, generator=torch.Generator().manual_seed(0)), None)
    place = place_at(G, *((number, 2 * number) for number in range(7)))
    targets, stage = draw(G, ws, place[:2]), search.Stage(places=1, latents=4, steps=1, widths=(1 / 4,))
    samples = statistics(G, 10).w[:4]

    def search_it():
        tried, _ = search.try_latents(G, targets, ws, place[:2], samples, stage, lambda: None)
        return *search.screen(G, targets, ws, place, 4), tried

    whole = search_it()
    one = rendering.picture_bytes(G, 16, 16)
    monkeypatch.setattr(free_memory, 'usable', lambda device: 3 * one + 1)
    monkeypatch.setattr(search, 'draw', lambda G, ws, *a, **k: counts.append(len(ws)) or draw(G, ws, *a, **k))
    for found, wanted in zip(search_it(), whole):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert counts == [3, 2] * 2 + [3, 3, 1] * 2
    monkeypatch.setattr(free_memory, 'usable', lambda device: 10)
    with pytest.raises(ValueError, match='--target: a picture of 16x16 pixels takes about'):
        search_it()


def test_the_work_is_told_piece_by_piece(monkeypatch):
    monkeypatch.setattr(search, 'STAGES', (
        search.Stage(places=2, latents=3, starts=2, steps=3, widths=(1 / 8,)),
        search.Stage(places=1, steps=2, widths=(1 / 8,))))
    G, seen = make_generator(), []
    known = statistics(G, 10)

    def progress(loop):
        for piece in loop:
            seen.append((piece, len(loop)))
            yield piece

    targets = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    place, ws = search.find_places(G, targets, known, place_at(G, (0, 0), (0, 0)), ('shift',), latents=2,
                                   progress=progress)
    assert seen == [(piece, len(seen)) for piece in range(len(seen))] and len(seen) == 2 + 2 * 2 + 5
    assert ws.shape == (2, G.num_ws, 8) and place.shift.shape == (2, 2)
