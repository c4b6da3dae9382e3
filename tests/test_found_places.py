"""Places that are found: targets where they are said to be, errors by hand, and one small search."""

import numpy as np
import pytest
import torch

from stylegan2_mspe import rendering
from stylegan2_mspe.experiments import backgrounds, found_places, held_out
from stylegan2_mspe.inversion import search
from stylegan2_mspe.inversion.place import Place
from tests.inversion.small import make_generator
from tests.reproduced import GOOD


@pytest.fixture(scope='module')
def found():
    return held_out.colour_digits(*held_out.demo_digits(20), count=4)


def test_distances_go_round():
    place = Place.of(64, (64, 64), [[63.0, 2.0], [10.0, 13.0]], [1, 1], (True, True))
    assert found_places.distances(place, np.array([[2, 2], [7, 17]])) == [3, 5]


@pytest.mark.parametrize('kind', backgrounds.KINDS)
def test_backgrounds(kind):
    draw = lambda seed: backgrounds.background(kind, 32, np.random.RandomState(seed))
    picture = draw(0)
    assert picture.shape == (32, 32, 3) and 0 <= picture.min() and picture.max() <= backgrounds.BRIGHTEST
    assert np.array_equal(picture, draw(0))
    if kind != 'black':
        assert picture.std(axis=(0, 1)).max() > 0.02 and not np.allclose(picture, draw(1), atol=0.05)


def test_scattered_digits_are_where_they_are_said_to_be(found):
    plain, shifts = found_places.scattered(found, 'black', 0)
    busy, same = found_places.scattered(found, 'stripes', 0)
    assert np.array_equal(shifts, same) and shifts.min() >= 0 and shifts.max() <= 32
    each = zip(plain, busy, found.pictures, found.opacity, shifts)
    for picture, over, digit, opacity, (down, right) in each:
        patch = picture[:, down:down + 32, right:right + 32]
        torch.testing.assert_close(patch, torch.from_numpy(digit[:32, :32]).permute(2, 0, 1) / 127.5 - 1)
        ink = torch.from_numpy(np.roll(opacity, (down, right), axis=(0, 1)) == 1)
        torch.testing.assert_close(over[:, ink], picture[:, ink])
        assert (over - picture)[:, ~ink].std() > 0.05


def test_its_own_digits_are_those_of_the_trained_place_moved(found):
    G = make_generator(resolution=64)
    pictures, shifts = found_places.own_digits(G, found, 0)
    _, same = found_places.scattered(found, 'black', 0)
    assert pictures.shape == (4, 3, 64, 64) and np.array_equal(shifts, same)
    canvas = rendering.request_canvas(64, shift=shifts[1].tolist(), wrap=True)
    wanted = rendering.render(G, rendering.seed_ws(G, [found_places.FIRST_SEED + 1]), canvas)[0]
    torch.testing.assert_close(pictures[1], wanted, rtol=1e-4, atol=1e-5)


def test_what_is_said_of_a_search():
    good, bad = (found_places.Search('mspe', kind, errors) for kind, errors in (
        ('black', [0.5] * 9 + [7.0]), (found_places.OWN, [0.5, 2.0])))
    assert good.near == 0.9 and 'median 0.50), 90% within 1' in good.sentence()
    assert good.sentence().startswith('mspe, auto on black: 1.15 ± 0.65 pixels off')
    claim = found_places.found_claim([good, bad], dict(mspe=GOOD))
    assert claim.holds and claim.found == '90%, 50% of digits of its own'
    worse = found_places.Search('mspe', 'black', [0.5] * 8 + [7.0] * 2)
    assert found_places.found_claim([worse], dict(mspe=GOOD)).holds is False
    assert found_places.found_claim([], {}).holds is None


def test_a_small_search(found, monkeypatch):
    monkeypatch.setattr(found_places, 'KINDS', ('black', 'stripes'))
    monkeypatch.setattr(found_places.find_places, '__kwdefaults__', dict(latents=1, progress=iter))
    monkeypatch.setattr(search, 'STAGES', (search.Stage(places=1, steps=2, widths=(1 / 20,)),))
    networks = dict(mspe=make_generator(resolution=64))
    searches, picture = found_places.search(networks, found)
    assert [each.background for each in searches] == [found_places.OWN, 'black', 'stripes']
    assert picture.height > 300
    assert all(len(each.errors) == 4 and max(each.errors) <= 2 ** 0.5 * 32 for each in searches)
