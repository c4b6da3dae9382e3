"""Whole training: every phase at its interval with its optimizer step, the average, and the sampler."""

import copy

import click

from tools.benchmarks import contenders

INTERVALS = {'Gmain': 1, 'Greg': 4, 'Dmain': 1, 'Dreg': 16}
PICTURES = 1024             # noise, in memory

PEER_NOTE = ("peer: torch's Sampler takes an argument again, as the base-class call of its sampler expects "
             '(patched at run time); Adam as its training loop makes it, without fused=True')


def table(networks: list[str], batches: list[int], device: str, peer: str | None, rounds: int,
          seconds: float) -> None:
    """Prints sec/kimg, images/s, peak memory and ratios of whole training."""
    rows = []
    for network in networks:
        for batch in batches:
            jobs = {name: contenders.make_job('training', network, name, folder, device, seconds, batch=batch)
                    for name, folder in contenders.contenders(device, peer).items()}
            answers = contenders.compare(jobs, rounds)
            for name, found in answers.items():
                took = contenders.median(found, 'seconds')
                rows.append([network, str(batch), name, f'{took / batch * 1000:.2f}', f'{batch / took:.1f}',
                             f'{contenders.median(found, "memory"):.2f}',
                             contenders.ratio(answers, name, 'baseline'),
                             contenders.ratio(answers, name, 'peer')])
    contenders.print_table(
        f'Training, all phases at their intervals; {contenders.where(device)}',
        ['networks', 'batch', '', 'sec/kimg', 'images/s', 'peak GB', '/ baseline', '/ peer'], rows)
    if peer:
        click.echo(f'\n{PEER_NOTE}.')


def prepare(job: dict):
    """A function that measures one step: each phase by itself, weighed by how often it is due."""
    parts = step_parts(job)

    def measure():
        least = job['seconds'] / len(parts)
        each = {name: contenders.seconds_of(run, least, job['device']) for name, (run, _) in parts.items()}
        total = sum(each[name] / interval for name, (_, interval) in parts.items())
        return dict(seconds=total, memory=contenders.peak_memory(job['device']), parts=each)
    return measure


def alone(gradients) -> None:
    """What one process does with its gradients for the others' sake."""


def step_parts(job: dict, after_backward=alone) -> dict:
    """name -> (what a step does, every how many steps). after_backward: sees the gradients of each phase."""
    G, D = contenders.networks(job)
    for module in (G, D):
        module.requires_grad_(False)
    reals = Reals(job)
    loss = make_loss(job, G, D)
    parts = {'reading': (reals.read, 1)}
    for kind, module in dict(G=G, D=D).items():
        interval = INTERVALS[f'{kind}reg']
        optimizer = make_optimizer(job, module, interval / (interval + 1))
        weight = job['training']['pl' if kind == 'G' else 'gamma']
        for name in [f'{kind}main', *([f'{kind}reg'] if weight else [])]:
            parts[name] = (phase(job, name, module, optimizer, loss, reals, after_backward), INTERVALS[name])
    parts['averaging'] = (averaging(job, G), 1)
    return parts


class Reals:
    """Batches of noise in the order of the contender's sampler, as its training loop would hand them on."""

    def __init__(self, job: dict):
        import torch
        from torch_utils.misc import InfiniteSampler
        if job['contender'] == 'peer':
            torch.utils.data.Sampler.__init__ = lambda self, data_source=None: None
        size = job['G']['img_resolution']
        self.pictures = torch.randint(0, 256, [PICTURES, job['G']['img_channels'], size, size],
                                      dtype=torch.uint8)
        self.order = iter(InfiniteSampler(range(PICTURES)))
        self.batch, self.device = job['batch'], job['device']
        self.read()

    def read(self) -> None:
        import torch
        taken = self.pictures[[next(self.order) for _ in range(self.batch)]]
        taken = taken.pin_memory() if self.device == 'cuda' else taken
        self.images = taken.to(self.device, non_blocking=True).to(torch.float32) / 127.5 - 1


def make_loss(job: dict, G, D):
    if job['contender'] == 'peer':
        from training.loss import StyleGAN2Loss
    else:
        from stylegan2_mspe.loss import StyleGAN2Loss
    import torch
    values = job['training']
    return StyleGAN2Loss(torch.device(job['device']), G.mapping, G.synthesis, D, r1_gamma=values['gamma'],
                         pl_weight=values['pl'], style_mixing_prob=values['mixing'])


def make_optimizer(job: dict, module, ratio: float):
    import torch
    kwargs = {} if job['contender'] == 'peer' else dict(fused=True)
    return torch.optim.Adam(module.parameters(), lr=job['training']['lr'] * ratio, betas=(0., .99 ** ratio),
                            eps=1e-8, **kwargs)


def phase(job: dict, name: str, module, optimizer, loss, reals: Reals, after_backward):
    """Gradients and optimizer step of one phase, as a training loop does it."""
    import torch
    labels = torch.zeros([job['batch'], 0], device=job['device'])

    def run():
        z = torch.randn([job['batch'], job['G']['z_dim']], device=job['device'])
        optimizer.zero_grad(set_to_none=True)
        module.requires_grad_(True)
        loss.accumulate_gradients(phase=name, real_img=reals.images, real_c=labels, gen_z=z, gen_c=labels,
                                  sync=True, gain=INTERVALS[name])
        module.requires_grad_(False)
        gradients = [each.grad for each in module.parameters() if each.grad is not None]
        after_backward(gradients)
        for gradient in gradients:
            torch.nan_to_num(gradient, nan=0, posinf=1e5, neginf=-1e5, out=gradient)
        optimizer.step()
    return run


def averaging(job: dict, G):
    """The moving average of the generator's weights."""
    import torch
    average = copy.deepcopy(G).eval()
    pairs = list(zip(average.parameters(), G.parameters()))
    beta = .5 ** (job['batch'] / (job['training']['ema'] * 1000))

    @torch.no_grad()
    def run():
        for ours, current in pairs:
            ours.copy_(current.lerp(ours, beta))
    return run
