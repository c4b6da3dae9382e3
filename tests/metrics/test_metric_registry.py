"""Names of metrics: those of StyleGAN2-ADA and ours, and what is none."""

import pathlib
import re

import pytest

from stylegan2_mspe.metrics import registry


@pytest.mark.parametrize('text, metric, pictures, full, size', [
    ('fid50k_full', 'fid', 50000, True, None),
    ('kid50k_full', 'kid', 50000, True, None),
    ('pr50k3_full', 'pr3', 50000, True, None),
    ('ppl2_wend', 'ppl2_wend', 50000, True, None),
    ('is50k', 'is', 50000, False, None),
    ('fid50k', 'fid', 50000, False, None),
    ('kid50k', 'kid', 50000, False, None),
    ('pr50k3', 'pr3', 50000, False, None),
    ('ppl_zfull', 'ppl_zfull', 50000, True, None),
    ('ppl_wfull', 'ppl_wfull', 50000, True, None),
    ('ppl_zend', 'ppl_zend', 50000, True, None),
    ('ppl_wend', 'ppl_wend', 50000, True, None),
    ('fid', 'fid', 50000, True, None),
    ('fid5k', 'fid', 5000, False, None),
    ('fid1k_full', 'fid', 1000, True, None),
    ('fid@96x128', 'fid', 50000, True, (96, 128)),
    ('fid10k@384x384', 'fid', 10000, False, (384, 384)),
    ('fid_mnist', 'fid_mnist', 10000, True, None),
    ('fid5k_mnist', 'fid_mnist', 5000, False, None),
    ('fid5k_mnist_full@96x96', 'fid_mnist', 5000, True, (96, 96)),
    ('pr2k_mnist', 'pr_mnist', 2000, False, None),
    ('acc_mnist', 'acc_mnist', 10000, True, None),
])
def test_names(text, metric, pictures, full, size):
    found = registry.parse(text)
    assert (found.text, found.metric.name, found.pictures, found.full, found.size) == (text, metric, pictures,
                                                                                       full, size)


@pytest.mark.parametrize('text', [
    'fid50', 'fid0k', 'fid50k_ful', 'pr50k', 'is50k_full', 'ppl2_wend_full', 'fid@96', 'fid@0x9', 'fid@-1x9',
    '', 'fid50k full', 'none', 'k', 'FID50k', 'fid５k', 'fid50k@96x96x96', 'eqt5k'])
def test_what_is_no_metric_is_told(text):
    with pytest.raises(ValueError, match=f'^--metrics={text} is not a metric; (did|expected)') as caught:
        registry.parse(text)
    assert '\n' not in str(caught.value)


def test_a_near_name_is_offered_and_a_size_only_where_there_are_some():
    with pytest.raises(ValueError, match='did you mean .*fid50k_full'):
        registry.parse('fid50k-full')
    with pytest.raises(ValueError, match='--metrics=ppl2_wend@64x64: found a size, expected ppl2_wend'):
        registry.parse('ppl2_wend@64x64')


def test_every_metric_is_in_the_table_with_what_sees_its_pictures():
    page = pathlib.Path('docs/metrics.md').read_text()
    rows = re.findall(r'^\| (`.*) \| .* \| (.*) \|$', page, re.MULTILINE)
    listed = {registry.parse(name).metric: seen for names, seen in rows
              for name in re.findall('`(.*?)`', names)}
    seen_by = dict(inception='Inception', vgg16='VGG16', digits='in the box')
    assert set(listed) == {metric for metric in registry.metrics().values() if metric.name != 'brightness'}
    for metric, seen in listed.items():
        assert seen_by.get(metric.detector, 'none') == seen and len(metric.protocol) > 40
