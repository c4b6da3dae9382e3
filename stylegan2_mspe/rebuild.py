"""Networks rebuilt from what a file says of them: a class name, constructor arguments and tensors by name.

The class name selects one of our classes, the arguments are plain values of the expected types, and nothing
is allocated that the file does not contain.
"""

import importlib
import warnings
from typing import Any

import torch

from stylegan2_mspe import networks
from stylegan2_mspe.network_file import Description, check_types, construct, dataset_kwargs, plain, reason
from stylegan2_mspe.safe_pickle import Refused

# Where a network stands in a file, and the class it has to be of.
KINDS = {'G': 'Generator', 'D': 'Discriminator', 'G_ema': 'Generator', 'augment_pipe': 'AugmentPipe'}
CLASSES = {'Generator': networks.Generator, 'Discriminator': networks.Discriminator}
AUGMENT = 'stylegan2_mspe.augment'      # the module of AugmentPipe, imported only for a file that has one

MAX_LAYERS = 1000       # of a mapping network

_COUNT, _REAL, _OPTION, _MAYBE = (int,), (int, float), (int, type(None)), (int, float, type(None))
_FLAG, _FILTER = (bool, int), (list, tuple, type(None))
# Constructors keep most of these for the time a picture is drawn: a wrong type has to be found before.
TYPES = dict(
    z_dim=_COUNT, c_dim=_COUNT, w_dim=_COUNT, img_resolution=_COUNT, img_channels=_COUNT, num_layers=_COUNT,
    embed_features=_OPTION, layer_features=_OPTION, lr_multiplier=_REAL, w_avg_beta=_MAYBE,
    channel_base=_COUNT, channel_max=_COUNT, num_fp16_res=_COUNT, conv_clamp=_MAYBE, cmap_dim=_OPTION,
    fp16_channels_last=_FLAG, use_noise=_FLAG, kernel_size=_COUNT, activation=(str,), architecture=(str,),
    resample_filter=_FILTER, freeze_layers=_COUNT, mbstd_group_size=_OPTION, mbstd_num_channels=_COUNT,
    pe=(str,), pe_kwargs=(dict,), base=_REAL, rows_first=_FLAG, mapping_kwargs=(dict,),
    synthesis_kwargs=(dict,), block_kwargs=(dict,), epilogue_kwargs=(dict,))


def build_all(found: dict[str, Description | None], training_set_kwargs: Any) -> dict[str, Any]:
    """The dictionary of a network file; a description that is twice there is built once. Raises Refused."""
    if found.get('G_ema') is None:
        raise Refused('holds no G_ema, the generator that every network file has')
    result, built = dict(training_set_kwargs=dataset_kwargs(training_set_kwargs)), {}
    for key, kind in KINDS.items():
        description = found.get(key)
        if description is not None and description.class_name != kind:
            raise Refused(f'has a {description.class_name} as {key}, expected a {kind}')
        if description is not None and id(description) not in built:
            built[id(description)] = build(key, description)
        result[key] = built.get(id(description))
    return result


def build(key: str, description: Description) -> torch.nn.Module | None:
    """Our class for the description, on the CPU, in eval mode, without gradients. Raises Refused."""
    args, kwargs = plain(description.args), plain(description.kwargs)
    check_types(kwargs, TYPES, _check_value)
    if description.class_name == 'AugmentPipe':
        return _build_augment(args, kwargs, description.tensors)
    module = construct(key, CLASSES[description.class_name], description)
    if description.class_name == 'Generator' and module.mapping.num_layers < 1:
        raise Refused('holds a generator without layers that make w of z')
    _try_encodings(module)
    return module


def _check_value(name: str, value: Any) -> None:
    """Refuses a count of layers that is no count or only takes time, and a kernel without a middle."""
    if name == 'num_layers' and not 0 <= value <= MAX_LAYERS:       # none: that of some discriminators
        raise Refused(f'has a mapping network of {value} layers, expected at most {MAX_LAYERS}')
    if name == 'kernel_size' and value % 2 != 1:
        raise Refused(f'has kernel_size = {value} among its arguments, expected an odd number')


def _try_encodings(module: torch.nn.Module) -> None:
    """Evaluates the smallest encodings once: only they understand their options."""
    for name in ('b4', 'b8'):
        block = getattr(getattr(module, 'synthesis', None), name, None)
        if block is None or block.encoding is None:
            continue
        try:
            block.encode(torch.float32, torch.device('cpu'), None)
        except Exception as error:
            raise Refused(f'holds a positional encoding of another kind ({reason(error)})') from error


def _build_augment(args, kwargs: dict, tensors: dict[str, torch.Tensor]) -> torch.nn.Module | None:
    """The augmentation with its strength p, the only thing about it that training changes."""
    try:
        kind = importlib.import_module(AUGMENT).AugmentPipe
    except (ImportError, AttributeError):
        warnings.warn('the augmentation recorded in a network file is left out: there is none here')
        return None
    try:
        module = kind(*args, **kwargs)
    except Exception as error:
        raise Refused(f'holds an AugmentPipe of another kind ({reason(error)})') from error
    strength = tensors.get('p')
    if strength is None or strength.numel() != 1 or not 0 <= float(strength) < float('inf'):
        raise Refused('holds an AugmentPipe without its strength p, a number of 0 or more')
    module.p.copy_(strength.reshape(()))
    return module.eval().requires_grad_(False)
