"""Fig. 1, 6, 7, 8, B and D: where digits are looked for, numbers worked out by hand, each command once."""

import dataclasses
import types

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import legacy, quality
from stylegan2_mspe.classifier import Judgement
from stylegan2_mspe.experiments import fig1, fig5, fig6, fig7, fig8, kept, markdown
from stylegan2_mspe.experiments.views import Seen, shifted_view
from tests.reproduced import BAD, GOOD, make_generator, reproduced
from tools import reproduce

VIEWS = {
    'fig1': lambda G: {str(shift): shifted_view(64, *shift) for shift in fig1.SHIFTS},
    'figB': lambda G: {str(shift): shifted_view(64, *shift) for shift in fig1.scattered(24, 64)},
    'fig6': fig6.views, 'figD': fig6.more_views, 'fig7': fig7.views, 'fig8': fig8.views,
}
PADDED, PLANE = (types.SimpleNamespace(img_resolution=64, synthesis=types.SimpleNamespace(border=border))
                 for border in ('zero', 'plane'))


@pytest.mark.parametrize('G', [PADDED, PLANE])
@pytest.mark.parametrize('figure', VIEWS)
def test_a_box_shows_the_quarter_with_the_digit(figure, G):
    """Whatever the canvas: the world positions of a box's pixels are those of the quarter, row by row."""
    for name, view in VIEWS[figure](G).items():
        boxes = view.boxes[:1] if figure == 'fig8' else view.boxes
        for top, left, height, width in boxes:
            for axis, start, length in ((view.canvas.rows, top, height), (view.canvas.cols, left, width)):
                places = (torch.arange(start, start + length) % axis.length) + 0.5
                wanted = (torch.arange(length) + 0.5) * 32 / length
                torch.testing.assert_close(axis.world(places), wanted.double(), msg=f'{name}, {start}')


def test_canvases_are_of_the_sizes_they_are_named_by():
    for views in (fig6.views, fig6.more_views, fig8.views):
        for name, view in views(PADDED).items():
            assert name.split(',')[0] == f'{view.canvas.height}x{view.canvas.width}'
    assert [len(view.boxes) for view in fig7.views(PADDED).values()] == [3, 3, 4] * 2
    assert all(view.boxes[1] == (0, 0, view.canvas.height, view.canvas.width)
               for view in fig8.views(PADDED).values())
    for views in (fig7.views, fig8.views):
        for name, view in views(PADDED).items():
            starts = [edge for box in view.boxes for edge in box[:2]]
            assert name.endswith('between cells') == any(start % 16 for start in starts)


def test_scattered_places_are_new_to_the_coarsest_level():
    places = fig1.scattered(200)
    assert places == fig1.scattered(200) and all(down % 16 or right % 16 for down, right in places)
    assert np.ptp(places, axis=0).min() > 55


# ----- fates and what is kept, by hand ----------------------------------------------------------------------


def seen_as(**values):
    """What `look` returns, where it always sees this."""
    fields = dict(similarity=[[0.]], ink=[[0.]], classes=[[0]], confidence=[[0.]],
                  standard=Judgement(torch.tensor([0]), torch.tensor([1.])))
    return lambda *_: Seen(**{name: values.get(name, default) if name == 'standard' else
                              np.array(values.get(name, default)) for name, default in fields.items()})


def test_fates_by_hand(monkeypatch):
    """Six seeds: one moved, one is stuck, two are other digits now, there and here, one is no digit any more,
    and one was none before.
    """
    G = make_generator('mspe')
    monkeypatch.setattr(fig1, 'look', seen_as(
        similarity=[[.8, .1, .7, .1, .5, .9], [.2, .9, .1, .2, .1, .1]],
        classes=[[1, 5, 4, 4, 7, 9], [5, 2, 5, 5, 7, 9]],
        confidence=[[.95, .95, .99, .99, .9, .99], [.95, .92, .2, .91, .99, .99]],
        standard=Judgement(torch.tensor([1, 2, 3, 4, 7, 9]), torch.tensor([.95, .99, .91, .95, .92, .5]))))
    [fate] = fig1.measure({'mspe': G}, [(24, 24)], range(6), None)
    part = pytest.approx(.2)
    assert fate == fig1.Fate('mspe', (24, 24), 5, False, part, part, pytest.approx(.4), part)
    monkeypatch.setattr(fig1, 'look', seen_as(     # the digit is read in both boxes, which overlap
        similarity=[[.6], [.7]], classes=[[0], [0]], confidence=[[.95], [.95]]))
    [fate] = fig1.measure({'mspe': G}, [(0, 40)], [0], None)
    assert (fate.moved, fate.stuck, fate.changed, fate.destroyed, fate.across) == (0, 1, 0, 0, True)
    monkeypatch.setattr(fig1, 'look', seen_as(
        similarity=[[.6], [.7]], classes=[[0], [0]], confidence=[[.95], [.95]],
        standard=Judgement(torch.tensor([0]), torch.tensor([.5]))))
    [fate] = fig1.measure({'mspe': G}, [(0, 8)], [0], None)
    assert (fate.digits, fate.moved, fate.stuck, fate.changed, fate.destroyed) == (0, 0, 0, 0, 0)


def fates(**moved):
    return [fig1.Fate(name, (0, 8), 9, across, share, 0.1, 0.0, 0.9 - share) for name, shares in moved.items()
            for across, share in zip((False, False, True), shares)]


def test_fig1_claims():
    found = fates(mspe=(0.5, 0.7, 0.1), baseline=(0.1, 0.2, 0.9))
    plus = fates(**{'mspe-plus': (0.5, 0.8, 0.0)})
    assert fig1.means(found)['mspe'] == pytest.approx((0.6, 0.1, 0, 0.3))
    assert fig1.means(found, across=True)['baseline'] == pytest.approx((0.9, 0.1, 0, 0))
    assert fig1.summary(found)[2:] == [
        '| mspe | 60% | 10% | 0% | 30% |', '| baseline | 15% | 10% | 0% | 75% |',
        '| mspe, across the border | 10% | 10% | 0% | 80% |',
        '| baseline, across the border | 90% | 10% | 0% | 0% |']
    good = {name: GOOD for name in ('mspe', 'baseline', 'mspe-plus')}
    assert [claim.holds for claim in fig1.claims(found + plus, good)] == [True] * 4
    assert [claim.holds for claim in fig1.claims(found, dict(good, mspe=BAD))] == [True, None, None, None]
    turned = fates(mspe=(0.2, 0.2, 0.2), baseline=(0.6, 0.6, 0.6))
    turned += fates(**{'mspe-plus': (0.2, 0.2, 0.9)})
    assert [claim.holds for claim in fig1.claims(turned, good)] == [False] * 4
    alone = fig1.claims(fates(mspe=(0.6, 0.6, 0.6)), good)
    assert [claim.holds for claim in alone] == [None, True, None, None]
    assert alone[2].found == 'needs --network baseline=FILE'


def test_kept_digits_by_hand(monkeypatch):
    """Three boxes in two views, two seeds."""
    monkeypatch.setattr(kept, 'look', seen_as(
        similarity=[[.2, .4], [.5, .5], [1, 0]], ink=[[.1, .3], [0, 0], [.5, 0]],
        classes=[[7, 3], [7, 7], [3, 3]], confidence=[[.95, .2], [.95, .95], [.1, .1]],
        standard=Judgement(torch.tensor([7, 3]), torch.tensor([1., 1.]))))
    two_and_one = lambda G: dict(a=fig7.View(None, [None, None]), b=fig7.View(None, [None]))
    a, b = kept.measure({'mspe': make_generator('mspe')}, two_and_one, range(2), None)
    assert (a.network, a.view, b.view) == ('mspe', 'a', 'b')
    assert a.similarity == pytest.approx([.3, .5]) and a.error == pytest.approx([.1, 0])
    assert (a.kept, a.sure) == ([1, .5], [.5, 1]) and a.ink == pytest.approx([.2, 0])
    assert (b.kept, b.sure, b.ink, b.error) == ([.5], [0], [.25], [pytest.approx(.5)])
    assert kept.summary([a, b])[2] == '| mspe | 100% (0.30), 50% (0.50) | 50% (0.50) |'


def kept_as(views=('a', 'b'), **shares):
    """name -> the parts that kept their class in both views."""
    return [kept.Kept(name.replace('_', '-'), view, [0.5], [0.], [share], [0.], [0.])
            for name, pair in shares.items() for view, share in zip(views, pair)]


def test_claims_of_what_is_kept():
    good = {name: GOOD for name in ('mspe', 'baseline', 'sspe', 'mspe-resize', 'mspe-plus')}
    ordered = kept_as(mspe=(.6, .8), baseline=(.7, .5), sspe=(.1, .1), mspe_resize=(.9, .6),
                      mspe_plus=(.8, .8))
    assert [claim.holds for claim in fig6.claims(ordered, good)] == [True] * 4
    assert '70% of mspe, 60% of baseline, 10% of sspe' in fig6.claims(ordered, good)[0].found
    turned = kept_as(mspe=(.5, .6), baseline=(.7, .5), sspe=(.1, .1), mspe_resize=(.5, .6),
                     mspe_plus=(.4, .7))
    assert [claim.holds for claim in fig6.claims(turned, good)] == [False] * 4
    alone = fig6.claims(kept_as(mspe=(.6, .8)), good)
    assert [claim.holds for claim in alone] == [None, True, None, None]
    assert alone[0].found == 'needs --network baseline=FILE and sspe=FILE'


@pytest.mark.parametrize('module', [fig7, fig8])
def test_the_baseline_is_asked_between_cells(module):
    good, names = {name: GOOD for name in ('mspe', 'baseline', 'mspe-plus')}, ('a', f'b{kept.BETWEEN}')
    assert kept.whole_and_between(kept_as(names, mspe=(0, 0))) == (['a'], [names[1]])
    holds = lambda found, qualities=good: [claim.holds for claim in module.claims(found, qualities)]
    ordered = kept_as(names, mspe=(.6, .4), baseline=(.9, .3), mspe_plus=(.5, .6))
    assert holds(ordered) == [True] * 3 and holds(ordered, dict(good, baseline=BAD)) == [True, None, True]
    assert holds(kept_as(names, mspe=(.5, .4), baseline=(.1, .4), mspe_plus=(.6, .3))) == [False] * 3
    assert holds(kept_as(names, baseline=(.5, .4))) == [None] * 3


def test_ink_around_a_digit_by_hand(monkeypatch):
    """64x128: a quarter with 1024 pixels of 0.5, all of it 8192 of 0.125: half of the ink is around."""
    monkeypatch.setattr(fig8, 'SCALES', ((1, 2),))
    monkeypatch.setattr(kept, 'look', seen_as(
        similarity=[[.5], [.1]], ink=[[.5], [.125]], classes=[[0], [1]], confidence=[[1.], [1.]]))
    digits, around = fig8.measure({'mspe': make_generator('mspe')}, range(1), None)
    assert around == [fig8.Around('mspe', '64x128', 0.5)] and '50% of the ink' in around[0].sentence()
    assert (digits[0].kept, digits[0].similarity, digits[0].ink) == ([1], [.5], [.5])


def test_inverted_digits_are_beside_their_targets():
    red, blue = torch.tensor([[1., -1., -1.], [-1., -1., 1.]])
    drawn = [(name, [colour[:, None, None].expand(2, 3, 8, 8)])
             for name, colour in (('target', red), ('a', blue))]
    picture = np.array(fig5.sheet(drawn, ['x'], 2))
    first = {name: (picture == colour).all(axis=2).any(axis=1) for name, colour in
             (('red', (255, 0, 0)), ('blue', (0, 0, 255)))}
    starts = sorted((int(row), name) for name, rows in first.items()
                    for row in np.flatnonzero(np.diff(rows.astype(int)) == 1))
    assert [name for _, name in starts] == ['red', 'blue'] * 2


def test_a_markdown_table():
    assert markdown.table(['', 'a'], [['b', '1']]) == ['|  | a |', '| --- | --- |', '| b | 1 |']


# ----- the commands -----------------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(quality, 'SEEDS', 2)
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: {'G_ema': make_generator(file[:4])})
    for module, values in {fig1: dict(SHIFTS=((0, 24),), PLACES=3, SHOWN=(0,), SHOWN_MORE=(0,), COLUMNS=2),
                           fig6: dict(SCALES=((1.5, 1.5),), MORE=((1, 1.5),), SHOWN=(0,), SHOWN_MORE=(0,)),
                           fig7: dict(TIMES=((1, 2),), STRETCHES=(1 / 2,), SHOWN=(0,)),
                           fig8: dict(SCALES=((1, 1.5),), SHOWN=(0,))}.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)


def test_a_file_for_a_folder_is_told_before_anything_is_done(tmp_path):
    (tmp_path / 'taken').write_text('')
    for outdir in (tmp_path / 'taken', tmp_path / 'taken' / 'deeper'):
        result = CliRunner().invoke(reproduce.main, ['fig6', '--network=mspe=none.pkl', f'--outdir={outdir}'])
        assert isinstance(result.exception, ValueError) and 'expected a folder' in str(result.exception)
        assert 'taken, which' in str(result.exception)


@pytest.mark.parametrize('figure', ['fig1', 'figB'])
def test_fates_commands(figure, tiny, tmp_path):
    output, numbers = reproduced(tmp_path, figure, '--network=mspe=mspe.pkl', '--network=baseline=none.pkl',
                                 '--seeds=2')
    assert 'destroyed' in output and 'Not settled: more of MS-PE' in output
    count = dict(fig1=1, figB=3)[figure]
    assert [each['network'] for each in numbers['fates']] == ['mspe'] * count + ['baseline'] * count
    assert numbers['networks'] == dict(mspe='mspe.pkl', baseline='none.pkl') and numbers['seeds'] == 2
    assert numbers['quality']['mspe']['seeds'] == 2 and len(numbers['claims']) == 5
    assert Image.open(tmp_path / f'{figure}.png').height > 2 * 128


@pytest.mark.parametrize('figure', ['fig6', 'fig7', 'fig8', 'figD'])
def test_commands_of_what_is_kept(figure, tiny, tmp_path):
    output, numbers = reproduced(tmp_path, figure, '--network=mspe=mspe.pkl', '--network=sspe=sspe.pkl',
                                 '--seeds=2')
    assert '| class kept (similarity) |' in output and 'Not settled: ' in output
    assert [each['network'] for each in numbers['kept']] == ['mspe', 'sspe']
    assert all(len(each['kept']) == (2 if figure == 'fig7' else 1) for each in numbers['kept'])
    assert ('around' in numbers) == (figure == 'fig8') and numbers['quality']['sspe']['good'] is False
    with Image.open(tmp_path / f'{figure}.png') as picture:
        assert picture.height > 2 * 128 and picture.width > (64 + 96) * 2
    assert set(dataclasses.asdict(kept_as(mspe=(1, 1))[0])) == numbers['kept'][0].keys()
