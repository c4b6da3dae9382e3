"""Places as tensors give the coordinates of canvases, and have gradients."""

import pytest
import torch

from stylegan2_mspe.inversion.place import Place, check_in_sight
from stylegan2_mspe.inversion.projection import draw
from tests.inversion.small import make_generator, place_at


@pytest.mark.parametrize('size', [(16, 16), (24, 12), (19, 33), (5, 16)])
@pytest.mark.parametrize('zoom', [1.0, 0.6, 2.5])
@pytest.mark.parametrize('wraps', [(True, True), (False, True), (False, False)])
def test_a_place_has_the_coordinates_of_its_canvases(size, zoom, wraps):
    place = Place.of(16, size, [[3.25, -20.5], [0, 7]], [zoom, 1 / zoom], wraps)
    levels = place.levels()
    assert list(levels) == [4, 8, 16]
    for sample, canvas in enumerate(place.canvases()):
        assert (canvas.height, canvas.width) == size
        for resolution, (y, x, wrapping) in levels.items():
            wanted = canvas.coordinates(resolution)
            period = torch.tensor(float(resolution))
            assert wrapping == wanted.wraps == wraps
            for found, exact, wraps_here in ((y, wanted.y, wraps[0]), (x, wanted.x, wraps[1])):
                difference = found[sample] - exact
                if wraps_here:      # where rounding falls on either side of the seam
                    difference = (difference + period / 2).remainder(period) - period / 2
                assert found[sample].shape == exact.shape and difference.abs().max() < 1e-10


def test_the_meaning_of_shift_and_zoom_by_hand():
    """Output pixel 5's centre is at 5.5: with zoom 2 and shift 1 it shows the world at 5.5 / 2 - 1 = 1.75."""
    place = Place.of(16, (16, 16), [[1.0, 0.0]], [2.0], (False, False))
    y, x, _ = place.levels()[16]
    assert y[0, 5] + 0.5 == 1.75 and x[0, 5] + 0.5 == 2.75
    assert place.levels()[4][0][0, 1] == (6 / 2 - 1) / 4 - 0.5      # a cell of 4 pixels: its centre is at 6


@pytest.mark.parametrize('pe', ['none', 'mspe'])
@pytest.mark.parametrize('wraps', [(True, True), (False, False)])
@pytest.mark.parametrize('size', [(16, 16), (22, 13)])
@pytest.mark.parametrize('border', ['zero', 'plane'])
def test_pictures_of_tensors_are_those_of_canvases(pe, wraps, size, border):
    G = make_generator(pe=pe).double()
    G.synthesis.border = border
    ws = G.mapping(torch.randn(2, 8, generator=torch.Generator().manual_seed(0)), None)
    place = place_at(G, (2.3, -1.1), (0.0, 30.0), zoom=1.3, size=size, wraps=wraps)
    fixed, free = draw(G, ws, place, fixed=True), draw(G, ws, place)
    assert fixed.shape == (2, 3, *size)
    torch.testing.assert_close(free, fixed, rtol=0, atol=1e-9 * float(fixed.std()))


@pytest.mark.parametrize('border', ['zero', 'plane'])
def test_the_gradient_of_a_place_is_how_the_picture_changes(border):
    G = make_generator().double()
    G.synthesis.border = border
    ws = G.mapping(torch.randn(1, 8, generator=torch.Generator().manual_seed(0)), None)
    weights = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def value(shift, zoom):
        place = place_at(G, (0, 0)).with_values(shift, zoom)
        return (draw(G, ws, place) * weights).sum()

    where = (torch.tensor([[2.3, -1.7]], dtype=torch.float64, requires_grad=True),
             torch.tensor([[1.2]], dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(value, where, eps=1e-6, rtol=1e-4)


def test_places_that_are_alike_share_a_canvas():
    same = place_at(make_generator(), (2, 1), (2, 1), zoom=1.5)
    assert same.canvas() == same.canvases()[0] and len(same.canvases()) == 2
    other = place_at(make_generator(), (2, 1), (2, 3))
    assert other.canvas() == other.canvases()
    for wraps in ((True, True), (False, False), (True, False)):
        assert place_at(make_generator(), (0, 0), (0, 0), wraps=wraps).canvas() is None
    assert place_at(make_generator(), (0, 0), size=(16, 20)).canvas() is not None


def test_pictures_have_gradients_with_respect_to_shift_and_zoom():
    G = make_generator().double()
    ws = G.mapping(torch.randn(1, 8, generator=torch.Generator().manual_seed(0)), None)
    place = place_at(G, (2.3, -1.1), size=(13, 16))
    weight = torch.randn([1, 3, 13, 16], generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def render(shift, zoom):
        return (draw(G, ws, place.with_values(shift, zoom)) * weight).sum()

    values = place.shift.clone().requires_grad_(), (place.zoom * 1.1).requires_grad_()
    assert torch.autograd.gradcheck(render, values)
    assert torch.autograd.gradgradcheck(render, values)


def test_a_place_that_shows_nothing_of_the_trained_picture():
    place = Place.of(16, (16, 24), [[0, 0], [16.5, 0]], [1, 1], (False, False))
    check_in_sight(place[:1])
    check_in_sight(Place.of(16, (16, 24), [[16.5, 0]], [1], (True, False)))
    with pytest.raises(ValueError, match='--shift: found 16.5 down, .* expected less than 16, or --wrap'):
        check_in_sight(place)
    with pytest.raises(ValueError, match='found -40 right'):
        check_in_sight(Place.of(16, (16, 24), [[0, -40]], [1], (False, False)))
