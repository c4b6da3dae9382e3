"""Tables at toy size: what they measure, and what they say of numbers that are given."""

import pytest
from PIL import Image

from stylegan2_mspe import detector_file, legacy, quality
from stylegan2_mspe.experiments import eqt, table1, table2
from stylegan2_mspe.metrics import available, calculation, registry
from tests.drawn import make_generator
from tests.reproduced import BAD, GOOD, reproduced


def rows(**fid):
    return [table1.Row(name, [(64, 64), (96, 96), (128, 128)], list(values)) for name, values in fid.items()]


def verdicts(claims):
    return [claim.holds for claim in claims]


def test_table1_asks_for_every_size_of_every_network():
    asked = []

    def distance(G, size):
        asked.append((G.img_resolution, size))
        return float(len(asked))
    found = table1.measure({'a': make_generator(), 'b': make_generator()}, distance)
    assert asked == [(16, None), (16, (24, 24)), (16, (32, 32))] * 2
    assert [row.fid for row in found] == [[1, 2, 3], [4, 5, 6]] and found[1].sizes[1] == (24, 24)
    assert table1.summary(found)[::3] == ['| FID at | 1 x | 1.5 x | 2 x |', '| b | 4 | 5 | 6 |']


def test_table1_claims():
    """At 1.5 and 2 times: the best of three by twice, resizing better still; at the trained size as good."""
    as_claimed = rows(baseline=(5, 90, 200), sspe=(6, 60, 150), mspe=(5.5, 30, 75),
                      **{'mspe-resize': (5, 12, 20), 'mspe-plus': (5, 6, 19)})
    assert verdicts(table1.claims(as_claimed, None)) == [True] * 7
    close = rows(baseline=(5, 90, 149), sspe=(6, 59, 150), mspe=(5.6, 30, 75),
                 **{'mspe-resize': (5, 30, 76), 'mspe-plus': (5, 30, 77)})
    assert verdicts(table1.claims(close, None)) == [False] * 7
    assert '75 against 150 of SS-PE and 149 of the baseline' in table1.claims(close, None)[3].found
    alone = table1.claims(rows(mspe=(5, 6, 7)), None)
    assert verdicts(alone) == [None] * 7 and 'sspe=FILE' in alone[0].found


def test_table1_of_digits_counts_good_networks_only():
    found = table1.claims(rows(baseline=(5, 90, 200), sspe=(6, 60, 150), mspe=(5, 20, 30)),
                          dict(baseline=GOOD, sspe=BAD, mspe=GOOD))
    assert verdicts(found) == [False, *[None] * 6, True]


def test_table1_pictures():
    networks = dict(a=make_generator(), b=make_generator(pe='none'))
    assert table1.plot(rows(a=(1, 2, 3))).size == (720, 440)
    assert table1.plot(rows(a=(0, 0, 0))).size == (720, 440)
    one, two = table1.samples(dict(a=networks['a'])), table1.samples(networks)
    assert one.width > (16 + 24 + 32) * 8 and two.height > 1.8 * one.height


def test_table2_claims():
    def claims(fid, precision, recall, qualities=None):
        measured = [table2.Row('mspe', fid, precision, recall), table2.Row('baseline', 5, 0.7, 0.5)]
        return verdicts(table2.claims(measured, qualities))
    assert claims(5.4, 0.66, 0.46) == [True, True]
    assert claims(5.6, 0.64, 0.9) == [False, False]
    assert claims(5.4, 0.9, 0.44) == [True, False]
    assert claims(5.4, 0.7, 0.5, dict(mspe=GOOD, baseline=BAD)) == [False, None, None]
    alone = table2.claims([table2.Row('mspe', 1, 1, 1)], None)
    assert verdicts(alone) == [None, None]


def test_table2_draws_and_says_what_it_found():
    row = table2.Row('mspe', 12.3456, 0.7, 0.25)
    assert table2.summary([row])[2] == '| mspe | 12.35 | 0.700 | 0.250 |'
    assert table2.plot([row, table2.Row('baseline', 3, 0.1, 0.9)]).size == (720, 440)
    with pytest.raises(ValueError, match='at least one'):
        table2.plot([])


def test_eqt_claims():
    def claims(whole, fid, qualities=None):
        plus = eqt.Row('mspe-plus', whole, 0, 0, 0, fid)
        return verdicts(eqt.claims([row, plus], qualities))
    row = eqt.Row('mspe', 20, 30.125, 19, 29, 10)
    assert claims(26, 11) == [True, True] and claims(25.9, 11.1) == [False, False]
    assert claims(26, 11, {'mspe': GOOD, 'mspe-plus': BAD}) == [False, None, None]
    assert verdicts(eqt.claims([row], None)) == [None, None]
    assert eqt.summary([row])[2] == '| mspe | 20.00 | 19.00 | 30.12 | 29.00 | 10 |'


# ----- the commands -----------------------------------------------------------------------------------------


@pytest.fixture
def calculated(monkeypatch, tmp_path):
    """Metrics that were asked for, as (file, metric, data, detectors), and detectors that were opened."""
    asked, opened = [], []

    def calculate(G, metric, *, dataset_kwargs, detectors, progress, shared):
        asked.append((G.marker, metric, dataset_kwargs['path'], detectors))
        alone = registry.parse(metric).metric.name == 'fid'
        numbers = {'': 10.0 * len(asked)} if alone else dict(a=0.7, b=0.4)
        return calculation.Result(metric, numbers, dict(detector='eye', sha256='0', pictures=1000), 1.0)

    def load(file):
        G = make_generator()
        G.marker = file
        return {'G_ema': G}
    monkeypatch.setattr(calculation, 'calculate', calculate)
    monkeypatch.setattr(legacy, 'load_network_pkl', load)
    monkeypatch.setattr(quality, 'SEEDS', 3)
    monkeypatch.setattr(detector_file, 'at_hand', lambda kind, given=None: bool(given))
    monkeypatch.setattr(available, 'open_detector', lambda kind, given, device: opened.append((kind, given)))
    return asked, opened


def test_table1_command(calculated, tmp_path):
    output, numbers = reproduced(tmp_path, 'table1', '--network=mspe=a.pkl', '--network=sspe=b.pkl',
                                 '--data=x.zip', '--thousands=2')
    digits = {'': 'digits'}
    asked, opened = calculated
    assert opened == [('inception', {'': 'digits'})]
    assert asked == [(file, metric, 'x.zip', digits) for file in ('a.pkl', 'b.pkl')
                          for metric in ('fid2k', 'fid2k@24x24', 'fid2k@32x32')]
    assert [row['fid'] for row in numbers['rows']] == [[10, 20, 30], [40, 50, 60]]
    assert numbers['measured']['fid2k@24x24']['sha256'] == '0' and numbers['quality']['mspe']['good'] is False
    assert output.startswith('Note: pictures are taken for digits')
    assert 'Seen by eye' in output and '| mspe | 10 | 20 | 30 |' in output and 'Not settled: at 1.5' in output
    assert Image.open(tmp_path / 'table1.png').size == (720, 440)
    assert Image.open(tmp_path / 'table1-samples.png').width > 72


def test_table2_command_with_a_detector(calculated, tmp_path):
    output, numbers = reproduced(tmp_path, 'table2', '--network=mspe=a.pkl', '--data=demo', '--thousands=50',
                                 '--detector=eye.pt')
    asked, opened = calculated
    assert opened == [(kind, {'': 'eye.pt'}) for kind in ('inception', 'vgg16')]
    assert asked == [('a.pkl', metric, 'demo', {'': 'eye.pt'}) for metric in ('fid50k', 'pr50k3')]
    assert numbers['rows'] == [dict(network='mspe', fid=10, precision=0.7, recall=0.4)]
    assert 'quality' not in numbers and '| mspe | 10 | 0.700 | 0.400 |' in output and 'Note' not in output
    assert Image.open(tmp_path / 'table2.png').size == (720, 440)


def test_eqt_command(calculated, tmp_path):
    output, numbers = reproduced(tmp_path, 'eqt', '--network=mspe=a.pkl', '--data=demo', '--thousands=1')
    assert [metric for _, metric, _, _ in calculated[0]] == ['eqt1k_int', 'eqt1k_frac', 'fid1k']
    assert list(numbers['rows'][0].values()) == ['mspe', 0.7, 0.4, 0.7, 0.4, 30]
    assert 'Not settled: training without a border' in output and '| mspe | 0.70 | 0.70 | 0.40 |' in output
    assert Image.open(tmp_path / 'eqt.png').width > 4 * 128
