"""Curves through latents and ways over the world."""

import numpy as np
import torch

from stylegan2_mspe.keyframes import Stop, looped_latents, travelled_canvases
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.rendering import request_canvas


def test_latents_pass_their_keyframes_smoothly_and_close():
    ws = torch.from_numpy(np.random.RandomState(0).randn(4, 3, 5).astype(np.float32))
    curve = looped_latents(ws, 400)
    assert curve.shape == (400, 3, 5) and curve.dtype == torch.float32
    torch.testing.assert_close(curve[::100], ws)
    closed = torch.cat([curve, curve[:2]])          # over the seam as anywhere else
    steps = closed.diff(dim=0).norm(dim=(1, 2))
    bends = closed.diff(n=2, dim=0).norm(dim=(1, 2))
    assert bends[-2:].max() <= bends[:-2].max() * 1.1 and bends.max() < steps.max() * 0.1
    assert steps.max() < ws.diff(dim=0).norm(dim=(1, 2)).max() * 3 / 100


def test_two_latents_swing_and_one_stays():
    ws = torch.tensor([[[0.0, 1]], [[2.0, 1]]])
    curve = looped_latents(ws, 8)
    np.testing.assert_allclose(curve[:, 0, 0], 1 - np.cos(np.arange(8) * np.pi / 4), atol=0.02)
    assert (curve[:, 0, 1] == 1).all()
    assert (looped_latents(ws[1:], 3) == ws[1]).all()


def test_a_way_of_shifts_is_even_and_ends_where_it_says():
    stops = [Stop((0, 0)), Stop((8, 4)), Stop((8, -12))]
    canvases = travelled_canvases(stops, 9, 16)
    shifts = [(0, 0), (2, 1), (4, 2), (6, 3), (8, 4), (8, 0), (8, -4), (8, -8), (8, -12)]
    assert canvases == [Canvas.identity(16).shifted(*shift) for shift in shifts]
    assert travelled_canvases(stops[1:2], 2, 16) == [canvases[4]] * 2
    assert travelled_canvases(stops, 1, 16) == [canvases[0]]


def test_frames_at_stops_are_what_generate_draws():
    for box, size, wrap in [(None, None, None), ((16, 31), None, None), ((11, 16), (22, 40), None),
                            ((16, 48), None, True), ((16, 16), None, False)]:
        found = travelled_canvases([Stop((1.5, -3), box), Stop((7, 2), box)], 2, 16, size, wrap)
        for canvas, shift in zip(found, [(1.5, -3), (7, 2)]):
            wanted = request_canvas(16, box, shift, size, wrap)
            assert (canvas.height, canvas.width) == (wanted.height, wanted.width)
            for one, other in zip(canvas.coordinates(8), wanted.coordinates(8)):
                np.testing.assert_allclose(one, other, atol=1e-9)


def test_a_growing_box_zooms_out_without_wrapping():
    canvases = travelled_canvases([Stop((0, 0)), Stop((0, 4), (16, 32))], 5, 16, (8, 16))
    assert {(canvas.height, canvas.width) for canvas in canvases} == {(8, 16)}
    ends = torch.tensor([0.0, 16.0])
    seen = [canvas.cols.world(ends).tolist() for canvas in canvases]
    assert seen == [[0, 16], [-3, 17], [-6, 18], [-9, 19], [-12, 20]]
    assert all(canvas.rows.period == 16 and canvas.cols.period is None for canvas in canvases)
