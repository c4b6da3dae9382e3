"""Fig. 5: targets, patches, numbers worked out by hand, and one small run."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan2_mspe import legacy, quality
from stylegan2_mspe.classifier import load_classifier
from stylegan2_mspe.experiments import fig5, found_places, held_out
from stylegan2_mspe.experiments.found_places import Search
from stylegan2_mspe.inversion.projection import Recipe
from tests.inversion.small import make_generator
from tests.reproduced import BAD, GOOD, reproduced


@pytest.fixture(scope='module')
def found():
    return held_out.colour_digits(*held_out.demo_digits(20), count=4)


def test_digits_are_of_all_classes_and_in_colour():
    found = held_out.colour_digits(*held_out.demo_digits(40), count=20)
    assert np.array_equal(np.bincount(found.labels), np.full(10, 2))
    brightest = found.pictures[:, :32, :32].max(axis=(1, 2)).astype(float)
    assert (brightest.max(axis=1) > 200).all() and brightest.std(axis=0).min() > 30
    assert not found.pictures[:, 32:].any() and not found.pictures[:, :, 32:].any()
    assert np.allclose(found.opacity, found.pictures.max(axis=3) / 255, atol=0.01)


@pytest.mark.parametrize('shift', [(0, 0), (8, 8), (32, 7)])
def test_the_patch_of_a_shifted_target_is_the_digit(found, shift):
    spot = fig5.Spot(*shift)
    patches = fig5.patches_at(fig5.targets_at(found, spot), spot)
    wanted = torch.from_numpy(found.pictures[:, :32, :32]).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(patches, wanted)


def test_the_patch_of_a_zoomed_target_is_all_of_it(found):
    targets = fig5.targets_at(found, fig5.Spot(zoom=2))
    assert fig5.patches_at(targets, fig5.Spot(zoom=2)).shape == (4, 3, 64, 64)
    halved = torch.nn.functional.avg_pool2d(targets, 2)
    wanted = torch.from_numpy(found.pictures[:, :32, :32]).permute(0, 3, 1, 2) / 127.5 - 1
    assert (halved - wanted).abs().mean() < 0.03


def test_psnr_by_hand():
    black = torch.full([2, 3, 4, 4], -1.0)
    # A hundredth of the range off; and darker than black, which is black.
    wrong = torch.stack([black[0] + 0.02, black[1] - 5])
    assert fig5.psnr(wrong, black).tolist() == [pytest.approx(40, abs=1e-3), float('inf')]


def test_a_small_run_and_its_claims(found):
    networks = dict(mspe=make_generator(resolution=64), baseline=make_generator(pe='none', resolution=64))
    recipe = Recipe(steps=2, samples=20)
    scores, picture = fig5.measure(networks, found, load_classifier(), recipe)
    assert len(scores) == 12 and picture.width > 600
    for score in scores:
        assert score.psnr == pytest.approx(np.mean(score.values)) and 0 <= score.agreement <= 1
    assert len(fig5.table(scores)) == 4 and fig5.table(scores)[2].count('|') == 8
    qualities = dict(mspe=GOOD, baseline=GOOD)
    searches = [Search('mspe', 'black', [0.5] * 9 + [7.0])]
    level = [fig5.Score(name, place, value, 0.1, 1.0, [value])
             for name, value in (('mspe', 30.0), ('baseline', 27.0)) for place in fig5.PLACES]
    assert [claim.holds for claim in fig5.claims(level, searches, qualities)] == [True] * 4
    assert [claim.holds for claim in fig5.claims([], [], {})][1:] == [None] * 3
    worse = [score for score in level if (score.network, score.place) != ('mspe', '24 px')]
    worse.append(fig5.Score('mspe', '24 px', 28.0, 0.1, 1.0, [28.0]))
    assert [claim.holds for claim in fig5.claims(worse, searches, qualities)][1:] == [False, False, True]


def test_claims_of_more_places():
    level = {name: [fig5.Score(name, place, value, 0.1, 1.0, [value]) for place in fig5.MORE]
             for name, value in (('mspe', 30.0), ('baseline', 27.0))}
    scores = [*level['mspe'], *level['baseline']]
    good = dict(mspe=GOOD, baseline=GOOD)
    assert [claim.holds for claim in fig5.more_claims(scores, good)] == [True] * 3
    bad = fig5.more_claims(scores, dict(good, baseline=BAD))
    assert [claim.holds for claim in bad] == [False, True, None]
    index = list(fig5.MORE).index('32 down')
    scores[index] = dataclasses.replace(scores[index], psnr=28.5)
    found = fig5.more_claims(scores, good)
    assert [claim.holds for claim in found] == [True, False, True]
    assert '1.50 dB less, at 32 down' in found[1].found
    assert [claim.holds for claim in fig5.more_claims(level['baseline'], good)][1:] == [None, None]


def test_command(monkeypatch, tmp_path):
    """The searches are told from their errors; that they find anything is tested where they are."""
    monkeypatch.setattr(found_places, 'KINDS', ('black',))
    monkeypatch.setattr(found_places, 'find_places', lambda G, targets, known, start, *_, **__: (
        start, known.mean.expand(len(targets), G.num_ws, -1)))
    monkeypatch.setattr(quality, 'SEEDS', 2)
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: {'G_ema': make_generator(resolution=64)})
    output, numbers = reproduced(tmp_path, 'fig5', '--network=mspe=x.pkl', '--network=sspe=y.pkl',
                                 '--digits=2', '--steps=1')
    assert '| mspe |' in output and 'mspe, auto on black: ' in output and numbers['digits'] == 2
    assert [(each['network'], each['place']) for each in numbers['scores']] == [
        (name, place) for name in ('mspe', 'sspe') for place in fig5.PLACES]
    assert [(each['network'], each['background']) for each in numbers['searches']] == [
        ('mspe', found_places.OWN), ('mspe', 'black')]
    assert len(numbers['claims']) == 4 and Image.open(tmp_path / 'fig5.png').width > 2 * 128
    assert Image.open(tmp_path / 'fig5-places.png').width > 2 * 128


def test_fig_c_command(monkeypatch, tmp_path):
    monkeypatch.setattr(fig5, 'MORE', {'standard': fig5.Spot(), '5 down': fig5.Spot(5, 0),
                                       'zoom 4/3': fig5.Spot(zoom=4 / 3)})
    monkeypatch.setattr(quality, 'SEEDS', 2)
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: {'G_ema': make_generator(resolution=64)})
    output, numbers = reproduced(tmp_path, 'figC', '--network=mspe=x.pkl', '--digits=2', '--steps=1')
    assert '| mspe |' in output and numbers['data'] == 'built in' and numbers['steps'] == 1
    assert [(each['place'], len(each['values'])) for each in numbers['scores']] == [
        ('standard', 2), ('5 down', 2), ('zoom 4/3', 2)]
    assert len(numbers['claims']) == 3 and Image.open(tmp_path / 'figC.png').width > 3 * 128
