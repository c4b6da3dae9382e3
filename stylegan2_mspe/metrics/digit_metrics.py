"""Metrics of networks of digits, by the classifier in the box: no download, and quick on a CPU."""

from stylegan2_mspe import quality
from stylegan2_mspe.classifier import Judgement
from stylegan2_mspe.metrics import samples
from stylegan2_mspe.metrics.feature_metrics import (FRECHET, NEIGHBOURS, frechet, generated_features,
                                                    neighbours)
from stylegan2_mspe.metrics.registry import register_metric
from stylegan2_mspe.metrics.task import MetricTask

PICTURES = 10000
OURS = '; features of the digit classifier, not to be compared with those of Inception or VGG16'

DIGITS = dict(pictures=PICTURES, detector='digits', sized=True)
register_metric('fid_mnist', data=True, protocol=FRECHET + OURS, **DIGITS)(frechet)
register_metric('pr_mnist', data=True, protocol=NEIGHBOURS + OURS, **DIGITS)(neighbours)


@register_metric('acc_mnist', protocol='accuracy: part of the pictures that the digit classifier reads as '
                 'their label or, without labels, reads with a confidence above 0.9; entropy of the classes '
                 'it reads, of at most 3.32 bits', **DIGITS)
def accuracy(task: MetricTask) -> dict[str, float]:
    network, dataset = task.detector().network, samples.label_source(task)
    features = generated_features(task, dataset, keep=True).values.to(task.device)
    confidence, classes = network.classes(features).softmax(dim=1).cpu().max(dim=1)
    judged = quality.of_judgement(Judgement(classes, confidence))
    right = judged.confident
    if task.G.c_dim:
        asked = samples.labels(task, range(task.request.pictures), dataset).argmax(dim=1).cpu()
        right = float((classes == asked).double().mean())
    return {'': right, '_entropy': judged.entropy}
