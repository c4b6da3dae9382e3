"""Tables 1 and 2 at toy size: what they measure, and what they say of numbers that are given."""

import pytest

from stylegan2_mspe import quality
from stylegan2_mspe.experiments import table1, table2
from tests.drawn import make_generator

GOOD = quality.Quality(10, [0.1] * 10, 0.9, 0.95, 3.32)
BAD = quality.Quality(10, [1.0] + [0.0] * 9, 0.9, 0.95, 0.0)


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
    assert found[1].sentence() == 'b: FID 4 at 16x16, 5 at 24x24, 6 at 32x32.'


def test_table1_claims():
    """At 1.5 and 2 times: the best of three by twice, resizing better still; at the trained size as good."""
    as_claimed = rows(baseline=(5, 90, 200), sspe=(6, 60, 150), mspe=(5.5, 30, 75),
                      **{'mspe-resize': (5, 12, 20)})
    assert verdicts(table1.claims(as_claimed, None)) == [True] * 5
    close = rows(baseline=(5, 90, 149), sspe=(6, 59, 150), mspe=(5.6, 30, 75), **{'mspe-resize': (5, 30, 76)})
    assert verdicts(table1.claims(close, None)) == [False] * 5
    assert '75 against 150 of SS-PE and 149 of the baseline' in table1.claims(close, None)[2].found
    alone = table1.claims(rows(mspe=(5, 6, 7)), None)
    assert verdicts(alone) == [None] * 5 and 'sspe=FILE' in alone[0].found


def test_table1_of_digits_counts_good_networks_only():
    found = table1.claims(rows(baseline=(5, 90, 200), sspe=(6, 60, 150), mspe=(5, 20, 30)),
                          dict(baseline=GOOD, sspe=BAD, mspe=GOOD))
    assert verdicts(found) == [False, None, None, None, None, True]


def test_table1_pictures():
    networks = dict(a=make_generator(), b=make_generator(pe='none'))
    assert table1.plot(rows(a=(1, 2, 3))).size == (720, 440)
    assert table1.plot(rows(a=(0, 0, 0))).size == (720, 440)
    one, two = table1.samples(dict(a=networks['a'])), table1.samples(networks)
    assert one.width > (16 + 24 + 32) * 8 and two.height > 1.8 * one.height


def test_table2_claims():
    def claims(fid, precision, recall, qualities=None):
        measured = {'mspe': (fid, precision, recall), 'baseline': (5, 0.7, 0.5)}
        assert [row.fid for row in table2.measure(measured, lambda scores: scores)] == [fid, 5]
        return verdicts(table2.claims(table2.measure(measured, lambda scores: scores), qualities))
    assert claims(5.4, 0.66, 0.46) == [True, True]
    assert claims(5.6, 0.64, 0.9) == [False, False]
    assert claims(5.4, 0.9, 0.44) == [True, False]
    assert claims(5.4, 0.7, 0.5, dict(mspe=GOOD, baseline=BAD)) == [False, None, None]
    alone = table2.claims([table2.Row('mspe', 1, 1, 1)], None)
    assert verdicts(alone) == [None, None]


def test_table2_draws_and_says_what_it_found():
    row = table2.Row('mspe', 12.3456, 0.7, 0.25)
    assert row.sentence() == 'mspe: FID 12.35, precision 0.700, recall 0.250.'
    assert table2.plot([row, table2.Row('baseline', 3, 0.1, 0.9)]).size == (720, 440)
    with pytest.raises(ValueError, match='at least one'):
        table2.plot([])
