"""Each experiment at toy size: the numbers it writes, the picture it draws, what it says of the claims."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import classifier, default_network, legacy, network_safetensors, quality
from stylegan2_mspe.experiments import curves, fig2, fig4, fig_a
from tests.reproduced import BAD, GOOD, make_generator, reproduced
from tools import reproduce


@pytest.fixture
def G():
    return make_generator('mspe')


@pytest.fixture
def judge():
    torch.manual_seed(0)
    return classifier.DigitClassifier().eval()


def test_fig2_measures_every_shift_in_both_directions(G, judge, monkeypatch):
    monkeypatch.setattr(fig2, 'SHIFTS', (0, 5, 64))
    result = fig2.measure({'one': G}, range(3), judge)
    curves = result.curves
    assert [(curve.network, curve.direction) for curve in curves] == [('one', 'right'), ('one', 'down')]
    for curve in curves:
        assert len(curve.mean) == 3 and curve.mean[0] == 1 and curve.error[0] == 0
        # A whole turn leaves the encoding, and with the stored noise in its place the picture, as they were.
        assert curve.mean[2] == pytest.approx(1, abs=1e-3) and 0 < curve.mean[1] < 1
        assert curve.kept[0] == curve.kept[2] == 1
    assert 'lowest' in fig2.summary(curves[0]) and 'at 5 pixels' in fig2.summary(curves[0])
    assert result.qualities['one'].seeds == 3


def test_fig2_counts_the_digits_that_keep_their_class(G, monkeypatch):
    """A judge that goes by brightness at one place: worked out from the pictures themselves."""
    from stylegan2_mspe import rendering, similarity

    class Judge:
        def judge(self, patches):
            bright = (patches[:, 3, 5] > 0.5).long()
            return classifier.Judgement(bright, torch.where(bright == 1, 0.95, 0.5))

    monkeypatch.setattr(fig2, 'SHIFTS', (0, 7))
    result = fig2.measure({'one': G}, range(6), Judge())
    ws = rendering.seed_ws(G, range(6))
    canvases = [rendering.request_canvas(64, shift=shift) for shift in ((0, 0), (7, 0))]
    standard, moved = (similarity.grey(rendering.render(G, ws, canvas)) for canvas in canvases)
    before, after = (standard[:, 3, 5] > 0.5), (moved[:, 10, 5] > 0.5)
    assert before.any() and not before.all()
    assert result.curves[1].kept == pytest.approx([1, (before == after).float().mean().item()])
    assert result.curves[1].kept_sure == pytest.approx([1, after[before].float().mean().item()])


def make_result(qualities=None, **levels):
    """Curves of one height each: name -> (similarity, class kept)."""
    curves = [fig2.Curve(name, direction, [1.0] + [mean] * 32, [0.0] * 33, [1.0] + [kept] * 32, None)
              for name, (mean, kept) in levels.items() for direction in fig2.DIRECTIONS]
    return fig2.Result(curves, {name: (qualities or {}).get(name, GOOD) for name in levels})


def test_fig2_claims_hold_or_do_not():
    result = make_result(mspe=(0.88, 0.93), baseline=(0.60, 0.5))
    good, advantage, kept, mean, everywhere, *plus = fig2.claims(result)
    assert (good.holds, advantage.holds, kept.holds, mean.holds, everywhere.holds) == (
        True, True, True, True, False)
    assert advantage.found == '0.880 against 0.600' and '88.0%' not in kept.found and '93.0%' in kept.found
    assert [claim.holds for claim in plus] == [None] * 3 and 'mspe-plus=FILE' in plus[0].found
    close = fig2.claims(make_result(mspe=(0.79, 0.89), baseline=(0.60, 0.5)))
    assert [claim.holds for claim in close[1:5]] == [False] * 4
    alone = fig2.claims(make_result(mspe=(0.95, 1.0)))
    assert [claim.holds for claim in alone[1:5]] == [None, True, True, True]


def test_fig2_leaves_out_whole_cells_of_the_baseline_only():
    result = make_result(mspe=(0.7, 1), baseline=(0.55, 1))
    for curve in result.curves:
        if curve.network == 'baseline':
            curve.mean[16] = curve.mean[32] = 1.0
    assert fig2.claims(result)[1].found == '0.700 against 0.550'


def test_numbers_of_a_network_that_is_not_good_settle_nothing():
    found = fig2.claims(make_result({'mspe': BAD}, mspe=(0.95, 1.0), baseline=(0.5, 0.5)))
    assert found[0].holds is False and [claim.holds for claim in found[1:5]] == [None] * 4
    assert 'but mspe not good' in found[1].found and found[1].sentence().startswith('Not settled: ')


def test_fig2_command(G, monkeypatch, tmp_path):
    monkeypatch.setattr(fig2, 'SHIFTS', (0, 16))
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: {'G_ema': G})
    output, numbers = reproduced(tmp_path, 'fig2', '--network=mspe=x.pkl', '--seeds=2')
    assert 'mspe, right: mean' in output and 'Does not hold: every network' in output
    assert numbers['networks'] == {'mspe': 'x.pkl'} and numbers['seeds'] == 2
    assert [len(curve['mean']) for curve in numbers['curves']] == [2, 2]
    assert len(numbers['claims']) == 8 and numbers['quality']['mspe']['good'] is False
    assert Image.open(tmp_path / 'fig2.png').size == (1440, 880)
    assert Image.open(tmp_path / 'fig2-digits.png').width > 11 * 64


def test_quality_command_takes_networks_by_their_role(G, monkeypatch, tmp_path):
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: {'G_ema': G})
    monkeypatch.setattr(default_network, 'BUNDLED', tmp_path)
    (tmp_path / default_network.ROLES['sspe']).write_bytes(b'')
    output, numbers = reproduced(tmp_path, 'quality', '--seeds=5')
    assert 'no network in the box for baseline, mspe, mspe-resize, mspe-plus' in output
    assert list(numbers['networks']) == ['sspe'] and sum(numbers['quality']['sspe']['shares']) == 1
    assert 'sspe: not good; ' in output
    named = CliRunner().invoke(reproduce.main, ['quality', '--network=mspe', '--seeds=1'])
    assert isinstance(named.exception, ValueError) and 'found no mspe-small' in str(named.exception)
    (tmp_path / default_network.ROLES['sspe']).unlink()
    none = CliRunner().invoke(reproduce.main, ['quality', '--seeds=1'])
    assert isinstance(none.exception, ValueError) and 'baseline, sspe, mspe' in str(none.exception)


def test_networks_may_be_safetensors(G, monkeypatch, tmp_path):
    monkeypatch.setattr(default_network, 'BUNDLED', tmp_path)
    monkeypatch.setitem(default_network.ROLES, 'mspe', 'mspe.safetensors')
    content = dict(G=G, D=None, G_ema=G, augment_pipe=None, training_set_kwargs=None)
    network_safetensors.save_safetensors(tmp_path / 'mspe.safetensors', content)
    legacy.save_network_pkl(tmp_path / 'a.pkl', G=G, D=None, G_ema=G, training_set_kwargs=None)
    _, numbers = reproduced(tmp_path, 'quality', '--network=mspe', f'--network=a={tmp_path}/a.pkl',
                            '--seeds=5')
    assert numbers['quality']['mspe'] == numbers['quality']['a']


# ----- Fig. 4 -----------------------------------------------------------------------------------------------


def deviation(network, mean):
    return fig4.Deviation(network, [mean], mean, 0.0, mean, np.zeros([1, 8, 8], np.float32))


def test_fig4_claim_is_a_ratio():
    good = dict(sspe=GOOD, mspe=GOOD)
    louder = fig4.claims([deviation('sspe', 3.0), deviation('mspe', 1.5)], good)[1]
    assert louder.holds is True and 'a ratio of 2.00' in louder.found
    assert fig4.claims([deviation('sspe', 1.0), deviation('mspe', 1.5)], good)[1].holds is False
    alone = fig4.claims([deviation('mspe', 1.5)], dict(mspe=GOOD))[1]
    assert alone.holds is None and 'sspe=FILE' in alone.found
    collapsed = fig4.claims([deviation('sspe', 3.0), deviation('mspe', 1.5)], dict(sspe=GOOD, mspe=BAD))
    assert [claim.holds for claim in collapsed] == [False, None]


def test_fig4_command(monkeypatch, tmp_path):
    monkeypatch.setattr(fig4, 'MAPS', 3)
    monkeypatch.setattr(quality, 'SEEDS', 4)
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: {'G_ema': make_generator(file[0:4])})
    output, numbers = reproduced(tmp_path, 'fig4', '--network=sspe=sspe.pkl', '--network=mspe=mspe.pkl',
                                 '--seeds=2')
    assert 'sspe: standard deviation' in output and 'a ratio of' in output
    assert [each['network'] for each in numbers['deviations']] == ['sspe', 'mspe']
    assert all(len(each['per_seed']) == 2 and each['mean'] > 0 for each in numbers['deviations'])
    assert numbers['quality']['sspe']['seeds'] == 4 and numbers['maps'] == 3
    assert Image.open(tmp_path / 'fig4.png').height > 4 * 128


# ----- Fig. A -----------------------------------------------------------------------------------------------


def test_fig_a_has_a_number_for_every_place(G, judge, monkeypatch):
    from stylegan2_mspe import similarity

    monkeypatch.setattr(fig_a, 'STEPS', (0, 9))
    [table] = fig_a.measure({'one': G}, range(3), judge)
    shifts = [(0, 0), (0, 9), (9, 0), (9, 9)]
    expected = similarity.shift_similarity(G, shifts, range(3)).mean(axis=1)
    assert np.ravel(table.similarity) == pytest.approx(expected) and table.kept[0][0] == 1
    assert table.similarity[0][1] != pytest.approx(table.similarity[1][0])


def test_fig_a_claim():
    tables = [fig_a.Table('mspe', [[1.0, 0.8], [0.7, 0.6]], [[1.0, 0.95], [0.92, 0.91]])]
    assert fig_a.claims(tables, dict(mspe=GOOD))[1].holds is True
    assert 'similarity 0.700 in the mean, 0.600 at the worst' in fig_a.summary(tables[0])
    tables[0].kept[1][1] = 0.89
    assert fig_a.claims(tables, dict(mspe=GOOD))[1].holds is False
    assert fig_a.claims([], {})[1].holds is None


def test_fig_a_command(G, monkeypatch, tmp_path):
    monkeypatch.setattr(fig_a, 'STEPS', (0, 20))
    monkeypatch.setattr(quality, 'SEEDS', 2)
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: {'G_ema': G})
    output, numbers = reproduced(tmp_path, 'figA', '--network=mspe=x.pkl', '--seeds=2')
    assert 'mspe: similarity' in output and 'Not settled: MS-PE draws the same digit' in output
    assert np.shape(numbers['tables'][0]['kept']) == (2, 2) and numbers['steps'] == [0, 20]
    assert Image.open(tmp_path / 'figA.png').width > 2 * 128


# ----- training curves --------------------------------------------------------------------------------------


def write_run(folder, kimgs=(4, 8, 12), **curves):
    """A run folder with a tick every few kimg, and a snapshot of nothing at each."""
    folder.mkdir()
    lines = [{'Progress/tick': dict(num=1, mean=tick, std=0), 'Progress/kimg': dict(num=1, mean=kimg, std=0),
              'Timing/sec_per_kimg': dict(num=1, mean=10 + tick, std=0), 'timestamp': 1.0,
              **{name: dict(num=1, mean=values[tick], std=0) for name, values in curves.items()
                 if tick < len(values)}} for tick, kimg in enumerate(kimgs)]
    (folder / 'stats.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines) + '{"Progress/ti')
    for kimg in kimgs:
        (folder / f'network-snapshot-{kimg:06d}.pkl').write_bytes(b'')
    return folder


def test_a_run_gives_its_curves_and_speed(tmp_path):
    folder = write_run(tmp_path / 'a', **{'Loss/G/loss': [3.0, 2.0, 1.0], 'Progress/variety': [0.5]})
    run = curves.read_run('one', str(folder))
    assert run.kimg == 12 and run.sec_per_kimg == 11 and '12 kimg at 91 images/s' in run.sentence()
    assert run.curves['Loss/G/loss'] == ([4, 8, 12], [3, 2, 1])
    variety = run.curves['Progress/variety'][1]
    assert variety[0] == 0.5 and np.isnan(variety[1:]).all()
    assert curves.plot([run]).size == (1440, 440)               # two of the curves are there
    (folder / 'stats.jsonl').write_text('')
    with pytest.raises(ValueError, match='stats.jsonl: found no tick'):
        curves.read_run('one', str(folder))


def test_curves_of_a_diffusion_model(tmp_path):
    folder = write_run(tmp_path / 'a', **{'Loss/noise': [1.0, 0.2, 0.1]})
    for file in folder.glob('*.pkl'):
        file.rename(file.with_suffix('.safetensors'))
    _, numbers = reproduced(tmp_path, 'curves', f'--run=one={folder}')
    assert numbers['curves'][0]['curves']['Loss/noise'] == [[4, 8, 12], [1, .2, .1]]
    assert Image.open(tmp_path / 'curves.png').size == (720, 440)
    judged = CliRunner().invoke(reproduce.main, ['curves', f'--run=one={folder}', '--judge=3'])
    assert '--judge=3: found no network-snapshot-*.pkl in' in str(judged.exception)


def test_curves_command_judges_snapshots(G, monkeypatch, tmp_path):
    folder = write_run(tmp_path / 'a', **{'Loss/D/loss': [1.0, 1.5, 2.0]})
    opened = []
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: opened.append(file) or {'G_ema': G})
    output, numbers = reproduced(tmp_path, 'curves', f'--run=one={folder}', '--judge=3')
    assert [file[-10:] for file in opened] == ['000004.pkl', '000008.pkl', '000012.pkl']
    assert numbers['curves'][0]['curves']['confident'][0] == [4, 8, 12] and 'one: 12 kimg' in output
    assert numbers['curves'][0]['curves']['Progress/variety'] == [[4, 8, 12], [None] * 3]
    assert Image.open(tmp_path / 'curves.png').size == (1440, 880)
