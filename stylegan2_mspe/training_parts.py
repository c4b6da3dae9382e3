"""What one GAN's training is made of while it runs: dataset, networks, loss and phases; as it begins, or as a
state of it was.
"""

import copy
import dataclasses

import torch

from stylegan2_mspe import (ada, allocator, chance, checkpoint, distributed, networks, shortage, snapshots,
                            transfer)
from stylegan2_mspe.config import TrainingConfig, discriminator_kwargs, generator_kwargs
from stylegan2_mspe.dataset import construct_dataset
from stylegan2_mspe.loss import StyleGAN2Loss
from stylegan2_mspe.ticks import Progress
from stylegan2_mspe.trouble import Trouble
from torch_utils.ops import conv2d_gradfix, grid_sample_gradfix


@dataclasses.dataclass(frozen=True)
class Phase:
    """One of the things a step does, every `interval` steps."""
    name: str                           # Gmain, Greg, Dmain, Dreg
    module: torch.nn.Module             # the network it trains
    optimizer: torch.optim.Optimizer
    interval: int


@dataclasses.dataclass
class Training:
    """All that a run is made of while it runs."""
    config: TrainingConfig
    device: torch.device
    dataset: object
    models: dict[str, torch.nn.Module]  # G, D, G_ema
    loss: StyleGAN2Loss
    phases: list[Phase]
    progress: Progress
    strength: ada.AdaptiveStrength | None   # of the augmentation, with --aug=ada
    trouble: Trouble
    resumed: dict | None                # the training state it goes on from
    notes: list[str]                    # what there is to say of the networks it starts from


def build(config: TrainingConfig, state: dict | None = None) -> Training:
    """Opens the dataset and makes the networks; writes nothing.

    `state` is a loaded training state to go on from. Where several processes train together, each calls this.
    Raises ValueError or OSError where dataset, network file or state do not fit the config, MemoryError where
    the networks do not fit the device.
    """
    device = distributed.device(config.device)
    if device.type == 'cpu':
        allocator.keep_freed_memory()
    torch.backends.cudnn.benchmark = config.bench
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.allow_tf32
    conv2d_gradfix.enabled = grid_sample_gradfix.enabled = True
    chance.seed_all(config.seed)
    dataset = construct_dataset(**config.training_set_kwargs)
    with shortage.explained(*shortage.of_networks(config), device):
        models = make_models(config, device)
    G, D = models['G'], models['D']
    pipe = ada.make_pipe(config, device)
    parts = [distributed.parallel(module) for module in (G.mapping, G.synthesis, D)]
    loss = StyleGAN2Loss(device, *parts, augment_pipe=pipe, style_mixing_prob=config.style_mixing,
                         r1_gamma=config.gamma, pl_weight=config.pl_weight)
    strength = ada.AdaptiveStrength(pipe, config) if config.aug == 'ada' else None
    training = Training(config, device, dataset, models, loss, make_phases(config, G, D), Progress(),
                        strength, Trouble(), state, [])
    if state is not None:
        restore(training, state)
    elif config.resume:
        training.notes = transfer.start_from(config.resume, models) if distributed.is_first() else []
        distributed.spread(models.values())
    return training


def make_models(config: TrainingConfig, device: torch.device) -> dict[str, torch.nn.Module]:
    """G, D and G_ema as they begin, without gradients."""
    G = networks.Generator(**generator_kwargs(config)).train().requires_grad_(False).to(device)
    D = networks.Discriminator(**discriminator_kwargs(config)).train().requires_grad_(False).to(device)
    models = dict(G=G, D=D, G_ema=copy.deepcopy(G).eval())
    snapshots.prepare_precision(models, device, fp32=config.g_fp16_res == 0)
    return models


def make_phases(config: TrainingConfig, G: torch.nn.Module, D: torch.nn.Module) -> list[Phase]:
    """The phases of a step in their order, regularisation after its main phase.

    A term computed every i-th step makes its network move i + 1 times in i steps; the learning rate and the
    memory of Adam shrink by i / (i + 1) to make up for it (StyleGAN2, appendix B). G's do so even without a
    path-length phase.
    """
    phases = []
    for kind, module, interval, regularised in [('G', G, config.g_reg_interval, config.pl_weight != 0),
                                                ('D', D, config.d_reg_interval, config.gamma != 0)]:
        ratio = interval / (interval + 1)
        betas = tuple(beta ** ratio for beta in config.betas)
        optimizer = torch.optim.Adam(module.parameters(), lr=config.lr * ratio, betas=betas, eps=config.eps,
                                     fused=True)
        phases.append(Phase(f'{kind}main', module, optimizer, 1))
        if regularised:
            phases.append(Phase(f'{kind}reg', module, optimizer, interval))
    return phases


def optimizers(training: Training) -> dict[str, torch.optim.Optimizer]:
    return {phase.name[0]: phase.optimizer for phase in training.phases}


def augment_p(training: Training) -> float:
    """The probability of each transformation at the moment."""
    pipe = training.loss.augment_pipe
    return 0. if pipe is None else float(pipe.p)


# ----- its state --------------------------------------------------------------------------------------------


def state_values(training: Training, stats: dict) -> dict:
    """What a state holds beside networks and optimizers. Of several processes all have to call this.

    stats: the newest value of every reported name, which the next ticks repeat until it is reported again.
    """
    return dict(progress=dataclasses.asdict(training.progress), stats=stats,
                pl_mean=training.loss.pl_mean.cpu(), augment_p=augment_p(training),
                ada=training.strength and training.strength.state(), trouble=training.trouble.since)


def restore(training: Training, state: dict) -> None:
    checkpoint.restore(state, modules=training.models, optimizers=optimizers(training))
    training.progress = Progress(**state['values']['progress'])
    training.loss.pl_mean.copy_(state['values']['pl_mean'])
    if training.loss.augment_pipe is not None:
        training.loss.augment_pipe.p.fill_(state['values']['augment_p'])
    if training.strength is not None:
        training.strength.restore(state['values']['ada'])
    training.trouble.since = dict(state['values'].get('trouble', {}))   # states had none at first
