"""Fig. 9: where ink is, by hand; networks that keep or move a digit for certain; the command at toy size."""

import json

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ddpm_mspe import default_network
from ddpm_mspe.diffusion import Diffusion
from ddpm_mspe.experiments import fig9
from ddpm_mspe.unet_file import Saved, save_unet
from stylegan2_mspe import quality
from stylegan2_mspe.classifier import load_classifier
from stylegan2_mspe.experiments.held_out import held_out_digits
from stylegan2_mspe.pe import Canvas
from tests.reproduced import reproduced
from tests.tiny_unet import make_unet
from tools import reproduce

FEW = Diffusion(steps=6, first=.05, last=.6)
COUNT = 5


@pytest.fixture(scope='module')
def found():
    return held_out_digits(None, COUNT)


class Knowing(torch.nn.Module):
    """Predicts the ε that leads to these pictures, from any x; asks for the canvas of the bottom left."""
    img_resolution, img_channels, coarsest = 64, 3, 16

    def __init__(self, pictures):
        super().__init__()
        self.pictures = torch.nn.Parameter(pictures, requires_grad=False)

    def cells(self, canvas):
        assert canvas in (None, Canvas.identity(64).shifted(32, 0))
        return 64, 64

    def forward(self, x, t, canvas):
        kept = FEW.kept(t, x)
        return (x - kept.sqrt() * self.pictures.expand_as(x)) / (1 - kept).sqrt()


def knowing(pictures):
    return Saved(Knowing(pictures), FEW, None)


def test_sources_are_at_the_bottom_left(found):
    pictures = fig9.sources(found)
    assert pictures.shape == (COUNT, 3, 64, 64) and pictures.min() == -1 and pictures.max() == 1
    assert (pictures[:, :, :32] == -1).all() and (pictures[:, :, :, 32:] == -1).all()
    wanted = torch.from_numpy(found.pictures[3, :32, :32]).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(pictures[3, :, 32:, :32], wanted)


def test_the_centre_of_ink_by_hand():
    greys = torch.zeros(4, 64, 64)
    greys[3, 40, 40] = .9                                           # too little
    greys[0, 40, 10] = 1                                            # one pixel: its middle
    greys[1, 0, 0], greys[1, 63, 20] = .75, .25                     # mostly above
    greys[2, 31, 31] = greys[2, 32, 31] = .5                        # on the border between two quarters
    centres = fig9.centres_of_ink(greys)
    assert centres[:3].tolist() == [[40.5, 10.5], [16.25, 5.5], [32, 31.5]] and centres[3].isnan().all()
    assert fig9.in_quarter(greys, (32, 0)).tolist() == [True, False, True, False]
    assert fig9.in_quarter(greys, (0, 0)).tolist() == [False, True, False, False]


def test_who_keeps_and_who_moves(found, monkeypatch):
    monkeypatch.setattr(fig9, 'TIMES', (1, 4, 6))
    monkeypatch.setattr(fig9, 'NEAR', 4)
    sources = fig9.sources(found)
    networks = dict(mspe=knowing(sources), baseline=knowing(sources.roll(32, 2)),
                    black=knowing(torch.full_like(sources, -1)))
    places = fig9.measure(networks, found, steps=3)
    assert [(each.network, each.t) for each in places] == [(name, t) for name in networks for t in (1, 4, 6)]
    for each in places:
        assert (each.stays, each.moved) == dict(mspe=(1, 0), baseline=(0, 1), black=(0, 0))[each.network]
        assert (each.similarity is None) == (each.t == 6)
        if each.t < 6:
            assert each.similarity == pytest.approx(float(each.network == 'mspe'), abs=1e-3)
    assert '| mspe, in its quarter | 100% | 100% | 100% |' in fig9.table(places)
    assert fig9.plot(places).size == (1440, 440)


def test_the_sheet_and_the_numbers_are_of_the_same_pictures(found, monkeypatch):
    monkeypatch.setattr(fig9, 'TIMES', (1, 6))
    sources = fig9.sources(found)
    networks = dict(mspe=knowing(sources), baseline=knowing(sources.roll(32, 2)))
    ways = fig9.ways_back(networks, sources, **fig9.FULL)
    torch.testing.assert_close(ways['mspe'][1], sources, atol=1e-3, rtol=0)
    torch.testing.assert_close(ways['baseline'][0], sources.roll(32, 2), atol=1e-3, rtol=0)
    assert [(each.stays, each.moved) for each in fig9.places_of(sources, ways)] == [(1, 0)] * 2 + [(0, 1)] * 2
    one = fig9.sheet(sources[:1], {name: [back[:1] for back in each] for name, each in ways.items()})
    assert fig9.sheet(sources, ways).height > 4 * one.height


def test_samples_are_judged_where_the_trained_digits_are(found, monkeypatch):
    monkeypatch.setattr(fig9, 'SEEDS', COUNT)
    sources, classifier = fig9.sources(found), load_classifier()
    lower, upper = (fig9.judge(knowing(each), classifier) for each in (sources, sources.roll(32, 2)))
    assert upper.confident > .5 and upper.seeds == COUNT and lower.confident == 0


def judged(confident):
    return fig9.Legibility(100, [1.0] + [0.0] * 9, confident, .8, 0.)


def test_claims():
    places = [fig9.Place(name, t, *shares, None, None) for name, late in
              (('baseline', (.1, .8)), ('mspe', (.93, .02))) for t in fig9.TIMES
              for shares in [late if t >= 500 else (.99, 0.)]]
    good = dict(baseline=judged(.6), mspe=judged(.9))
    found = fig9.claims(places, good)
    assert [each.holds for each in found] == [True] * 5 and found[3].found == '80% at the least'
    assert not quality.Quality(100, [1.0] + [0.0] * 9, .9, .8, 0.).good     # which is asked for elsewhere
    illegible = fig9.claims(places, dict(good, mspe=judged(.59)))
    assert [each.holds for each in illegible] == [False, True, None, True, None]
    places[-1] = fig9.Place('mspe', 900, .89, .02, None, None)
    assert [each.holds for each in fig9.claims(places, good)] == [True] * 4 + [False]
    alone = fig9.claims(places[:9], dict(baseline=judged(.6)))
    assert [each.holds for each in alone] == [True, True, None, True, None] and 'mspe=FILE' in alone[2].found


@pytest.fixture
def tiny_size(monkeypatch):
    for name, value in dict(TIMES=(2, 6), NEAR=2, FAR=6, SEEDS=3, SHOWN=1).items():
        monkeypatch.setattr(fig9, name, value)


def save(path, **kwargs):
    save_unet(path, make_unet(**{'img_resolution': 64, 'blocks': (0, 0, 1), 'attention': (), **kwargs}), FEW)


def test_command(tiny_size, tmp_path, monkeypatch):
    monkeypatch.setattr(default_network, 'BUNDLED', tmp_path / 'box')
    (tmp_path / 'box').mkdir()
    save(tmp_path / 'box' / default_network.ROLES['mspe'])
    save(tmp_path / 'other.safetensors', pe='none')
    arguments = ['fig9', '--digits=2', '--steps=3', f'--outdir={tmp_path}']
    run = lambda *options: CliRunner().invoke(reproduce.main, [*arguments, *options], catch_exceptions=False)
    result = run('--network=mspe', f'--network=baseline={tmp_path}/other.safetensors')
    assert result.exit_code == 0 and 'mspe, in its quarter' in result.output
    assert 'Not settled: from t = 6 on MS-PE keeps' in result.output
    numbers = json.loads((tmp_path / 'fig9.json').read_text())
    assert [(each['network'], each['t']) for each in numbers['places']] == [
        ('mspe', 2), ('mspe', 6), ('baseline', 2), ('baseline', 6)]
    assert len(numbers['claims']) == 5 and numbers['quality']['mspe']['seeds'] == 3
    assert Image.open(tmp_path / 'fig9.png').width > 3 * 128
    assert Image.open(tmp_path / 'fig9-places.png').size == (1440, 440)
    assert 'there is no network in the box for baseline' in run().output


def test_fig_e_command(tiny_size, tmp_path):
    save(tmp_path / 'a.safetensors')
    output, numbers = reproduced(tmp_path, 'figE', f'--network=mspe={tmp_path}/a.safetensors', '--digits=2')
    assert '| mspe, in its quarter |' in output
    assert [(each['network'], each['t']) for each in numbers['places']] == [('mspe', 2), ('mspe', 6)]
    assert numbers['digits'] == 2 and numbers['data'] == 'built in' and len(numbers['claims']) == 5
    with Image.open(tmp_path / 'figE.png') as picture:
        assert picture.width > 3 * 128 and 2 * 128 < picture.height < 3 * 128      # a row for each digit


def test_no_network_and_another_one(tmp_path, monkeypatch):
    monkeypatch.setattr(default_network, 'BUNDLED', tmp_path)
    save(tmp_path / 'small.safetensors', img_resolution=32)
    for option, words in [([], 'no network in the box for baseline, mspe, expected LABEL=FILE'),
                          (['--network=mspe'], 'found no mspe-ddpm64-small'),
                          ([f'--network={tmp_path}/small.safetensors'], '32x32 pictures of 3 channels')]:
        result = CliRunner().invoke(reproduce.main, ['fig9', *option, f'--outdir={tmp_path}/o'])
        assert isinstance(result.exception, ValueError) and words in str(result.exception)
    assert not (tmp_path / 'o').exists()
