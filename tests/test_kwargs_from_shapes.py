"""Constructor arguments from shapes: those that the network was made with."""

import pytest
import torch

from stylegan2_mspe import kwargs_from_shapes, networks
from stylegan2_mspe.safe_pickle import Refused


@pytest.mark.parametrize('architecture', ['orig', 'skip', 'resnet'])
@pytest.mark.parametrize('options', [
    dict(), dict(c_dim=3), dict(z_dim=4, mapping_kwargs=dict(num_layers=3, layer_features=6)),
    dict(c_dim=2, mapping_kwargs=dict(num_layers=1, embed_features=5))])
def test_arguments_follow_from_shapes(architecture, options):
    synthesis = dict(channel_base=128, channel_max=12, architecture=architecture, pe='none')
    kwargs = dict(dict(z_dim=8, c_dim=0, w_dim=8, img_resolution=16, img_channels=4,
                       mapping_kwargs=dict(num_layers=2), synthesis_kwargs=synthesis), **options)
    assert kwargs_from_shapes.generator_kwargs(networks.Generator(**kwargs).state_dict()) == kwargs
    for pe in ('mspe', 'sspe'):
        changed = dict(kwargs, synthesis_kwargs=dict(synthesis, pe=pe, use_noise=False, kernel_size=5))
        assert kwargs_from_shapes.generator_kwargs(networks.Generator(**changed).state_dict()) == changed
    D = networks.Discriminator(kwargs['c_dim'], 16, 4, architecture, channel_base=128, channel_max=12,
                               epilogue_kwargs=dict(mbstd_num_channels=2))
    again = networks.Discriminator(**kwargs_from_shapes.discriminator_kwargs(D.state_dict()))
    shapes = lambda module: {name: value.shape for name, value in module.state_dict().items()}
    assert shapes(again) == shapes(D)


def test_widths_that_follow_no_rule_are_refused():
    options = dict(channel_base=64, channel_max=8)
    tensors = networks.Generator(8, 0, 8, 16, 3, synthesis_kwargs=options).state_dict()
    tensors['synthesis.b8.conv1.weight'] = torch.zeros(3, 8, 3, 3)
    with pytest.raises(Refused, match='8 at 4, 3 at 8, 4 at 16 channels'):
        kwargs_from_shapes.generator_kwargs(tensors)
