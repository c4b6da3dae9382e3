"""A metric that takes no time, registered when this is imported: how bright ten pictures are."""

import torch

from stylegan2_mspe.metrics import samples
from stylegan2_mspe.metrics.registry import register_metric
from stylegan2_mspe.metrics.task import MetricTask

PICTURES = 10


@register_metric('brightness', pictures=PICTURES, protocol='mean of all pixels and of each picture')
def brightness(task: MetricTask) -> dict[str, float]:
    means = lambda part: samples.generated(task, part).double().mean(dim=(1, 2, 3))
    found = torch.cat(list(samples.of_all(task, means, 'generated, batches')))
    return {'': float(found.mean()), '_last': float(found[-1])}
