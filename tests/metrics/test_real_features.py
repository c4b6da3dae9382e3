"""Features of real pictures: of which, and when those of an earlier time are taken."""

import dataclasses
import pathlib

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan2_mspe.metrics import detectors, feature_statistics, real_features, registry, samples
from stylegan2_mspe.metrics.task import MetricTask
from tests import drawn, scripted, tiny


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv('MSPE_DETECTORS', str(scripted.folder()))
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path / 'cache'))


@pytest.fixture
def data(tmp_path):
    return tiny.make_dataset(tmp_path / 'cats', count=40)


@pytest.fixture(scope='module')
def G():
    return drawn.make_generator()


def make_task(G, data, name='fid', pictures=50, **changes):
    request = dataclasses.replace(registry.parse(name), pictures=pictures)
    kwargs = dict(tiny.config(data).training_set_kwargs, **changes)
    return MetricTask(G=G, request=request, dataset_kwargs=kwargs)


def find(task, keep=False):
    """The features, and how many pictures the detector has looked at for them."""
    seen, eye = [], task.detector()

    def look(pictures):
        seen.append(len(pictures))
        return eye.features(pictures)
    dataset = samples.open_reals(task)
    found = real_features.real_features(task, eye._replace(features=look), dataset, keep)
    return found, sum(seen)


def by_hand(files):
    """The twelve features of scripted.Inception: the mean of each quarter of each channel."""
    pictures = np.stack([np.asarray(Image.open(file)) for file in files]).transpose(0, 3, 1, 2) / 255
    quarters = pictures.reshape(len(files), 3, 2, 8, 2, 8)
    return quarters.mean(axis=(3, 5)).reshape(len(files), 12)


def test_the_whole_dataset_as_it_is_or_pictures_it_was_trained_with(G, data):
    files = sorted(pathlib.Path(data).glob('*.png'))
    full, _ = find(make_task(G, data, max_size=10, xflip=True))     # neither the subset nor the flips
    np.testing.assert_allclose(full.mean, by_hand(files).mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(full.covariance, np.cov(by_hand(files).T), atol=1e-7)
    task = make_task(G, data, 'fid5k', xflip=True)
    part, _ = find(task, keep=True)
    assert part.count == 50 and task.notes['real_pictures'] == 50       # of 80, with flips
    plain = by_hand(files).reshape(40, 3, 2, 2)
    known = np.concatenate([plain, plain[..., ::-1]]).reshape(80, 12)
    distances = np.abs(part.values.numpy()[:, None] - known).max(axis=2)
    found = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < 1e-6 and len(set(found)) == 50 and min(found) < 40 < max(found)
    subset, _ = find(make_task(G, data, 'fid5k', max_size=10, xflip=False))
    assert subset.count == 10                       # there are no more


def test_they_are_computed_once(G, data, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_statistics, 'ROOM', 0)
    task = make_task(G, data)
    first, seen = find(task)
    assert seen == 40
    again, seen = find(make_task(G, data))
    assert seen == 0 and torch.equal(again.covariance, first.covariance) and again.count == 40
    kept, seen = find(make_task(G, data), keep=True)
    assert seen == 40 and kept.values.shape == (40, 12)
    kept, seen = find(make_task(G, data), keep=True)
    assert seen == 0 and kept.values.shape == (40, 12)
    copied = tmp_path / 'elsewhere' / 'cats'
    copied.parent.mkdir()
    pathlib.Path(data).rename(copied)
    moved = make_task(G, str(copied))
    assert find(moved)[1] == 0 and moved.notes == task.notes    # the same pictures under another path


def test_other_pictures_or_another_detector_are_not_taken_for_them(G, data, monkeypatch):
    first, tasks = make_task(G, data), [make_task(G, data, 'fid5k', max_size=12), make_task(G, data)]
    assert find(first)[1] == 40
    assert find(tasks[0])[1] == 24
    assert find(make_task(G, data, 'fid_mnist'))[1] == 40
    plain = dataclasses.replace(make_task(G, data), detectors={'': str(scripted.folder() / 'plain.pt')})
    assert find(plain)[0].mean.shape == (6,) and plain.notes == first.notes
    picture = pathlib.Path(data) / '007.png'
    Image.fromarray(np.zeros([16, 16, 3], np.uint8)).save(picture)
    assert find(tasks[1])[1] == 40
    assert len({each.notes['real_sha256'] for each in (first, *tasks)}) == 3
    monkeypatch.setattr(real_features, 'VERSION', 2)
    assert find(make_task(G, data))[1] == 40


def test_a_damaged_or_forbidden_cache_costs_time_only(G, data, tmp_path, monkeypatch):
    first, _ = find(make_task(G, data))
    [file] = (tmp_path / 'cache' / 'gan-metrics').iterdir()
    whole = file.read_bytes()
    for damaged in (b'', b'nothing', whole[:len(whole) // 2], b'\x80\x04K\x01.'):
        file.write_bytes(damaged)
        found, seen = find(make_task(G, data))
        assert seen == 40 and torch.equal(found.mean, first.mean)
    (tmp_path / 'file').write_text('no folder')
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path / 'file'))
    with pytest.warns(UserWarning, match='statistics of the real pictures are not kept for the next time'):
        assert find(make_task(G, data))[0].count == 40


def test_what_detectors_see():
    grey = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    assert torch.equal(detectors.as_rgb(grey), grey.expand(-1, 3, -1, -1))
    clear = torch.tensor([200, 100, 50, 128], dtype=torch.uint8).reshape(1, 4, 1, 1)
    assert detectors.as_rgb(clear).flatten().tolist() == [100, 50, 25]
    pictures = torch.zeros(2, 3, 96, 128, dtype=torch.uint8)
    pictures[:, :, :48, :64] = 255      # the quarter that is looked at
    assert torch.equal(detectors.digit_patches(pictures), torch.ones(2, 32, 32))


def test_the_filter_of_a_known_file_is_named(monkeypatch):
    path, cpu = str(scripted.folder() / 'plain.pt'), torch.device('cpu')
    found = detectors.open_detector('inception', {'': path}, cpu)
    assert found.filter == "the detector's own"
    monkeypatch.setitem(detectors.FILTERS, found.sha256, 'nearest')
    assert detectors._torchscript.__wrapped__('inception', path, cpu, True).card()['filter'] == 'nearest'


def test_which_detector_is_opened(tmp_path, monkeypatch):
    cpu, plain = torch.device('cpu'), str(scripted.folder() / 'plain.pt')
    found = detectors.open_detector('inception', {}, cpu)
    assert found.name == 'inception-2015-12-05.pt' and len(found.sha256) == 64
    assert detectors.open_detector('inception', {'vgg16': plain}, cpu).sha256 == found.sha256
    for given in ({'': plain}, {'inception': plain}):
        other = detectors.open_detector('inception', given, cpu)
        assert other.name == 'plain.pt' and other.sha256 != found.sha256
        assert other.features(torch.zeros(2, 1, 5, 7, dtype=torch.uint8)).shape == (2, 6)
    digits = detectors.open_detector('digits', {'': plain}, cpu)
    assert digits.name == 'digit classifier'
    assert detectors.open_detector('vgg16', {'': 'digits'}, cpu) == digits
    with pytest.raises(ValueError, match='--detector=no.pt: No such file or directory, expected'):
        detectors.open_detector('vgg16', {'vgg16': 'no.pt'}, cpu)
    monkeypatch.setenv('MSPE_DETECTORS', str(tmp_path))
    (tmp_path / 'inception-2015-12-05.pt').write_text('half a download')
    with pytest.raises(ValueError, match=r'^inception, which a metric needs, can not be had \(\S+12-05.pt is '
                                         r'no TorchScript network\), expected'):
        detectors.open_detector('inception', {}, cpu)       # nobody has typed --detector

    def offline(*_, **__):
        raise OSError('found no network.')
    monkeypatch.setattr(detectors.detector_file.dnnlib.util, 'open_url', offline)
    with pytest.raises(ValueError, match=r'vgg16, which a metric needs, can not be had \(found no network\), '
                                         'expected a connection, vgg16.pt in the folder that MSPE_DETECTORS'):
        detectors.open_detector('vgg16', {}, cpu)
