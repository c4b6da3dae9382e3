"""Diffusion models: whole training steps, and evaluations of a sampler, in the precision of a training."""

import click

from tools.benchmarks import contenders

PRESETS = {'cpu': ['ddpm64-small'], 'cuda': ['ddpm64-small', 'ddpm64']}
SIZE = 64                   # pixels
STEPS = 4                   # of the sampler, at a time

PEER_NOTE = ("peer: UNet2DModel of the package diffusers with the preset's widths, groups and attention, in "
             'float32 as its examples train it, on a GPU with bfloat16 autocast. It has as many residual '
             'blocks at every level: one more than ddpm64-small, at 64x64, and as many as ddpm64')


def table(batches: list[int], device: str, peer: str | None, rounds: int, seconds: float) -> None:
    """Prints images/s of training, evaluations/s of sampling, and ratios, for each preset of the device."""
    folders = dict.fromkeys(('mspe', 'baseline', 'plain'), str(contenders.ROOT)) | (
        {'peer': peer} if peer else {})
    for what, unit in (('training', 'images/s'), ('sampling', 'evaluations/s')):
        rows = []
        for preset in PRESETS[device]:
            for batch in batches:
                jobs = {name: dict(table='diffusion', contender=name, folder=folder, device=device,
                                   seconds=seconds, preset=preset, batch=batch, what=what)
                        for name, folder in folders.items()}
                answers = contenders.compare(jobs, rounds)
                rows += [row(preset, batch, name, answers) for name in answers]
        contenders.print_table(f'Diffusion, {what}; {contenders.where(device)}',
                               ['preset', 'batch', '', 'M parameters', unit, 'peak GB', '/ plain', '/ peer'],
                               rows)
    if peer:
        click.echo(f'\n{PEER_NOTE}.')


def row(preset: str, batch: int, name: str, answers: dict) -> list[str]:
    found = answers[name]
    return [preset, str(batch), name, f'{found[0]["parameters"] / 1e6:.2f}',
            f'{batch / contenders.median(found, "seconds"):.1f}', f'{contenders.median(found, "memory"):.2f}',
            contenders.ratio(answers, name, 'plain'), contenders.ratio(answers, name, 'peer')]


def prepare(job: dict):
    """A function that measures one training step, or one evaluation for a batch of samples."""
    config = make_config(job)
    model, runs = (of_peer if job['contender'] == 'peer' else of_ours)(config, job['batch'])
    count = sum(parameter.numel() for parameter in model.parameters())
    parts = 1 if job['what'] == 'training' else STEPS
    return lambda: dict(
        seconds=contenders.seconds_of(runs[job['what']], job['seconds'], job['device']) / parts,
        memory=contenders.peak_memory(job['device']), parameters=count)


def make_config(job: dict):
    """The run's. 'plain' is float32 without any kernel or layout of ours."""
    from ddpm_mspe import options
    from stylegan2_mspe.ops import native
    if job['contender'] == 'plain':
        native.enabled = False
    asked = dict(data='demo', cfg=job['preset'], pe='none' if job['contender'] == 'baseline' else 'mspe',
                 batch=job['batch'], fp32=job['contender'] == 'plain')
    data = options.DatasetInfo(name='demo', size=job['batch'], channels=3, resolution=SIZE, label_dim=0)
    return options.resolve(asked, data, job['device'])


def of_ours(config, batch: int):
    """The U-Net, and what to run by name."""
    import torch

    from ddpm_mspe import samplers, sampling, training
    built = training.build(config)
    pictures = torch.randint(0, 256, [batch, 3, SIZE, SIZE], dtype=torch.uint8)
    x = torch.randn([batch, 3, SIZE, SIZE], device=config.device)
    times = samplers.strided(built.diffusion.steps, STEPS)
    predict = sampling.predictor(built.models['unet_ema'], built.diffusion)
    return built.models['unet'], dict(
        training=lambda: training.training_step(built, pictures),
        sampling=lambda: samplers.ddim(predict, built.diffusion, x, times, lambda t: x))


def of_peer(config, batch: int):
    """The same of diffusers: its U-Net, schedulers and average, Adam and clipping as here."""
    import diffusers
    import torch
    from diffusers.training_utils import EMAModel
    levels, device = len(config.multipliers), torch.device(config.device)
    unet = diffusers.UNet2DModel(
        sample_size=SIZE, in_channels=3, out_channels=3, layers_per_block=max(config.blocks),
        block_out_channels=[config.channels * each for each in config.multipliers], attention_head_dim=None,
        down_block_types=['DownBlock2D'] * (levels - 1) + ['AttnDownBlock2D'], dropout=config.dropout,
        up_block_types=['AttnUpBlock2D'] + ['UpBlock2D'] * (levels - 1), norm_num_groups=config.groups,
    ).to(device).train()
    average = EMAModel(unet.parameters())
    optimizer = torch.optim.Adam(unet.parameters(), lr=config.lr, betas=config.betas)
    noising, denoising = diffusers.DDPMScheduler(), diffusers.DDIMScheduler()
    denoising.set_timesteps(STEPS)
    pictures = torch.randn([batch, 3, SIZE, SIZE], device=device)
    precision = torch.autocast(device.type, torch.bfloat16, enabled=device.type == 'cuda')

    def train():
        noise, t = torch.randn_like(pictures), torch.randint(0, 1000, [batch], device=device)
        with precision:
            predicted = unet(noising.add_noise(pictures, noise, t), t).sample
        torch.nn.functional.mse_loss(predicted.float(), noise).backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad()
        average.step(unet.parameters())

    @torch.no_grad()
    def sample():
        x = pictures
        for t in denoising.timesteps:
            with precision:
                predicted = unet(x, t).sample
            x = denoising.step(predicted.float(), t, x).prev_sample
    return unet, dict(training=train, sampling=sample)
