"""Whole metrics, from the network to the number: against numpy, and what is said beside the number."""

import dataclasses
import pathlib

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan2_mspe import images, rendering
from stylegan2_mspe.classifier import Judgement
from stylegan2_mspe.digits import demo_picture
from stylegan2_mspe.metrics import calculation, detectors, digit_metrics, registry, samples
from stylegan2_mspe.metrics.inception_score import inception_score
from stylegan2_mspe.metrics.task import MetricTask
from tests import drawn, scripted, tiny
from tests.metrics import plain


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv('MSPE_DETECTORS', str(scripted.folder()))
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path / 'cache'))


@pytest.fixture(scope='module')
def G(tmp_path_factory):
    path = tmp_path_factory.mktemp('network') / 'network.pkl'
    return rendering.prepare(drawn.save(path), 'cpu')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('cats') / 'cats', count=40)


def compute(G, data, name, pictures=30, **options):
    request = dataclasses.replace(registry.parse(name), pictures=pictures)
    kwargs = data and tiny.config(data).training_set_kwargs
    return request.metric.compute(MetricTask(G=G, request=request, dataset_kwargs=kwargs, **options))


def quarters(pictures):
    """The twelve features of scripted.Inception."""
    return (pictures / 255).reshape(len(pictures), 3, 2, 8, 2, 8).mean(axis=(3, 5)).reshape(len(pictures), 12)


def real_pictures(data):
    return np.stack([np.asarray(Image.open(file)) for file in sorted(pathlib.Path(data).glob('*.png'))]
                    ).transpose(0, 3, 1, 2).astype(float)


def generated_pictures(G, count, name='fid'):
    """One by one, through the float pictures."""
    task = MetricTask(G=G, request=registry.parse(name))
    return np.stack([images.to_uint8(samples.draw(task, range(index, index + 1))[0])
                     for index in range(count)]).astype(float)


@pytest.mark.parametrize('batch', [32, 7])
def test_fid_is_the_distance_of_these_pictures(G, data, batch, monkeypatch):
    monkeypatch.setattr(samples, 'BATCH', batch)
    expected = plain.frechet(quarters(real_pictures(data)), quarters(generated_pictures(G, 30)))
    assert compute(G, data, 'fid')[''] == pytest.approx(expected, rel=1e-4)
    assert compute(G, data, 'fid', seed=1)[''] != pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize('channels, mode', [(1, 'L'), (4, 'RGBA')])
def test_grey_pictures_are_repeated_and_clear_ones_lie_on_black(tmp_path, channels, mode):
    random = np.random.RandomState(0)
    real = random.randint(0, 256, [15, 16, 16, channels], dtype=np.uint8)
    for index, pixels in enumerate(real):
        Image.fromarray(pixels.squeeze(), mode).save(tmp_path / f'{index:02d}.png')
    G = rendering.prepare(drawn.save(tmp_path / 'network.pkl', img_channels=channels), 'cpu')
    generated = generated_pictures(G, 20).transpose(0, 2, 3, 1)

    def on_black(pictures):
        rgb = pictures[..., :3] * (pictures[..., 3:] / 255 if channels == 4 else 1)
        return quarters(np.broadcast_to(rgb.round(), [*rgb.shape[:3], 3]).transpose(0, 3, 1, 2))
    (tmp_path / 'network.pkl').unlink()
    expected = plain.frechet(on_black(real), on_black(generated))
    assert compute(G, str(tmp_path), 'fid', 20)[''] == pytest.approx(expected, rel=1e-3)


def test_precision_and_recall_are_of_vgg16(G, data):
    eye = detectors.open_detector('vgg16', {}, torch.device('cpu'))
    real, generated = (eye.features(torch.from_numpy(each).byte()).numpy()
                       for each in (real_pictures(data), generated_pictures(G, 30)))
    assert real.shape == (40, 9)
    found = compute(G, data, 'pr3')
    assert found == dict(_precision=plain.covered(generated, real, 3),
                         _recall=plain.covered(real, generated, 3))


def test_inception_score_is_of_the_outputs_without_bias(G):
    red = np.exp(8 * quarters(generated_pictures(G, 30))[:, :5])
    expected = inception_score(red / red.sum(axis=1, keepdims=True))
    found = compute(G, None, 'is')
    assert (found['_mean'], found['_std']) == pytest.approx(expected, rel=1e-3)


def test_kid_is_the_distance_of_these_pictures(G, data):
    """As many are generated as there are real ones, so that every subset is all of them."""
    expected = plain.discrepancy(quarters(real_pictures(data)), quarters(generated_pictures(G, 40)))
    assert compute(G, data, 'kid', 40)[''] == pytest.approx(expected, rel=1e-3)


@pytest.fixture
def painted(monkeypatch):
    """Lets pictures be given in place of a network's, whose need of memory can not be told then."""
    monkeypatch.setattr(rendering, 'batch_that_fits', lambda *_: 16)
    return lambda pictures: monkeypatch.setattr(samples, 'generated', lambda task, part, _: pictures(part))


class Painter(torch.nn.Module):
    """Stands for a network whose pictures are given."""

    def __init__(self, c_dim=0):
        super().__init__()
        self.img_resolution, self.z_dim, self.c_dim = 64, 1, c_dim
        self.weight = torch.nn.Parameter(torch.ones([]), requires_grad=False)


def test_accuracy_counts_right_labels_or_sure_readings(painted, monkeypatch):
    request = dataclasses.replace(registry.parse('acc_mnist'), pictures=40)
    task = MetricTask(G=Painter(c_dim=10), request=request)
    truth = samples.labels(task, range(40), None).argmax(dim=1)
    features = torch.nn.functional.one_hot(truth, 10).float()
    features[:10] = features[:10].roll(1, dims=1)           # ten wrong
    eye = torch.nn.Module()
    eye.classes = lambda features: (features + 1e-9).log()  # probabilities are the features
    eye = detectors.Detector('eye', '', '', lambda numbers: features[numbers], None, eye)
    monkeypatch.setattr(MetricTask, 'detector', lambda task: eye)
    painted(torch.tensor)
    assert digit_metrics.accuracy(task)[''] == 0.75
    features[4:] = features[4:] * 0.5 + 0.05                # 0.55 to 0.05
    task = dataclasses.replace(task, G=Painter(), shared={})
    found = digit_metrics.accuracy(task)
    assert found[''] == pytest.approx(4 / 40)
    expected = digit_metrics.quality.of_judgement(Judgement(features.argmax(dim=1), features.amax(dim=1)))
    assert found['_entropy'] == pytest.approx(expected.entropy)


def test_digits_by_the_classifier_in_the_box(painted):
    kwargs = dict(class_name='stylegan2_mspe.dataset.DemoDataset', path='demo', max_size=80)
    request = dataclasses.replace(registry.parse('fid5k_mnist'), pictures=80)
    task = MetricTask(G=Painter(), request=request, dataset_kwargs=kwargs)
    found = []
    for dim in (1, 8):      # digits against others as clear, and against dark ones on light ground
        def pictures(part):
            digits = np.stack([demo_picture(10 ** 4 + index) for index in part]).transpose(0, 3, 1, 2)
            return torch.from_numpy(digits // dim + (255 - 255 // dim))
        painted(pictures)
        found.append(request.metric.compute(dataclasses.replace(task, shared={}))[''])
    assert 0 < found[0] < 0.3 * found[1]


def test_the_card_says_what_a_number_depends_on(G, data, monkeypatch):
    few = lambda name: dataclasses.replace(registry.parse(name), pictures=12)
    monkeypatch.setattr(calculation, 'parse', few)
    kwargs = tiny.config(data).training_set_kwargs
    found = calculation.calculate(G, 'fid5k@24x32', dataset_kwargs=kwargs, seed=3)
    assert list(found.results) == ['fid5k@24x32'] and found.seconds > 0
    sha256 = detectors.open_detector('inception', {}, torch.device('cpu')).sha256
    card = dict(found.card)
    assert len(card.pop('real_sha256')) == 64
    assert 'Heusel' in card.pop('protocol') and card.pop('detector') == 'inception-2015-12-05.pt'
    assert card == dict(pictures=12, real_pictures=12, seed=3, size='24x32', sha256=sha256,
                        filter="the detector's own")
    assert 'fid5k@24x32' in found.sentence() and '12 pictures against 12 real' in found.sentence()
    both = calculation.calculate(G, 'pr5k3', dataset_kwargs=kwargs).results
    assert list(both) == ['pr5k3_precision', 'pr5k3_recall']
    assert list(calculation.calculate(G, 'is5k').results) == ['is5k_mean', 'is5k_std']
    path_length = calculation.calculate(G, 'ppl2_wend').card
    assert path_length['filter'] == 'area, where pictures are larger than 256 pixels'    # it resizes no more


def test_metrics_of_one_network_share_its_pictures(G, data, monkeypatch):
    counts = []
    draw = samples.draw
    monkeypatch.setattr(samples, 'draw', lambda task, part, _: counts.append(len(part)) or draw(task, part))
    shared = {}
    first = compute(G, data, 'fid', shared=shared)
    assert sum(counts) == 30
    compute(G, data, 'kid', shared=shared)
    assert sum(counts) == 30
    assert compute(G, data, 'fid', shared=shared) == first
    for other in (dict(seed=1), dict(pictures=20), dict(detectors={'': str(scripted.folder() / 'plain.pt')})):
        before = sum(counts)
        assert compute(G, data, 'fid', shared=shared, **other) != first
        assert sum(counts) == before + other.get('pictures', 30)
    assert compute(G, data, 'fid@16x24', shared=shared) != first


def test_what_is_missing_is_told(G):
    with pytest.raises(ValueError, match='--metrics=fid50k: found no dataset to compare with'):
        calculation.calculate(G, 'fid50k')
    with pytest.raises(ValueError, match='--metrics=fid50 is not a metric'):
        calculation.calculate(G, 'fid50')


def test_a_detector_without_classes_is_told_with_its_first_pictures(G):
    shown = []

    def progress(loop, total, label):
        for batch in loop:
            shown.append(batch)
            yield batch
    with pytest.raises(ValueError, match='no probabilities of classes'):
        compute(G, None, 'is', 100, detectors={'': str(scripted.folder() / 'plain.pt')}, progress=progress)
    assert len(shown) == 1
