"""Pictures on canvases of their own, in batches of alike ones, against one by one."""

import pytest
import torch

from stylegan2_mspe import rendering
from stylegan2_mspe.pe import Canvas, Window
from tests.test_networks import tiny_generator, tiny_ws

IDENTITY = Canvas.identity(16)
MIXED = [IDENTITY, IDENTITY.extended(0, 0, 8, 3), IDENTITY.shifted(2.5, 1), IDENTITY.resized(21, 16),
         IDENTITY.shifted(1, 0, wrap=False), IDENTITY.extended(0, 0, 8, 3).zoomed(1.5), IDENTITY]


@pytest.mark.parametrize('pe', ['mspe', 'none'])
@pytest.mark.parametrize('look', [('const', 'zero'), ('anchored', 'zero'), ('anchored', 'plane')])
def test_a_canvas_each_is_one_by_one(pe, look):
    noise_mode, border = look
    G = tiny_generator(pe)
    ws, seeds = tiny_ws(G, len(MIXED)), torch.arange(len(MIXED)) * 3 - 5
    pictures = rendering.render_each(G, ws, MIXED, noise_mode, seeds, border, batch=2)
    assert [tuple(picture.shape[1:]) for picture in pictures] == [(c.height, c.width) for c in MIXED]
    for n, canvas in enumerate(MIXED):
        one = rendering.render(G, ws[n:n + 1], canvas, noise_mode, int(seeds[n]), border)[0]
        assert (pictures[n] - one).abs().max() <= 1e-12 * one.std()


def test_as_many_pictures_are_drawn_at_a_time_as_fit(monkeypatch):
    G, counts = tiny_generator(), []
    ws, canvases = tiny_ws(G, 5), [IDENTITY.shifted(n, 0) for n in range(5)]
    whole, forward = rendering.render_each(G, ws, canvases), G.synthesis.forward
    G.synthesis.forward = lambda ws, **how: counts.append(len(ws)) or forward(ws, **how)
    one = rendering.picture_bytes(G, 16, 16)
    monkeypatch.setattr(rendering.free_memory, 'usable', lambda device: 2 * one + 1)
    torch.testing.assert_close(rendering.render_each(G, ws, canvases), whole)
    assert counts == [2, 2, 1]


def test_a_window_takes_any_number_of_pictures_and_a_canvas_for_each():
    G = tiny_generator()
    ws, canvases = tiny_ws(G, 3), tuple(IDENTITY.shifted(n, 0) for n in range(3))
    pictures = rendering.render(G, ws, Window(canvases, 3, 5, 9, 2), 'anchored', 2)
    for n, canvas in enumerate(canvases):
        whole = rendering.render(G, ws[n:n + 1], canvas, 'anchored', 2)[0]
        assert (pictures[n] - whole[:, 3:12, 5:7]).abs().max() <= 1e-12 * whole.std()
    assert rendering.render(G, ws[:0], Window(IDENTITY, 3, 5, 9, 2)).shape == (0, 3, 9, 2)
    with pytest.raises(ValueError, match='3 canvases for 2 samples'):
        rendering.render(G, ws[:2], Window(canvases, 3, 5, 9, 2))


def test_only_want_of_memory_is_told_as_such():
    def draw_nothing(*_, **__):
        raise RuntimeError(reason)
    G = tiny_generator()
    G.synthesis.forward = draw_nothing
    for reason in ('CUDA error: an illegal memory access was encountered', 'no such memory format'):
        with pytest.raises(RuntimeError, match=reason):
            rendering.render(G, tiny_ws(G, 1))
    for reason in ('DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes',
                   'CUDA out of memory. Tried to allocate 2 GiB'):
        with pytest.raises(MemoryError, match=reason):
            rendering.render(G, tiny_ws(G, 1))


def test_one_seed_serves_all_and_no_canvas_is_no_picture():
    G = tiny_generator()
    ws = tiny_ws(G, 2)
    both = rendering.render_each(G, ws, [IDENTITY, IDENTITY], 'anchored', 7)
    assert torch.equal(torch.stack(both), rendering.render(G, ws, IDENTITY, 'anchored', 7))
    assert rendering.render_each(G, ws[:0], []) == []
