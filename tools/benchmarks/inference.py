"""Pictures from latents, without gradients, in the precision a training run computes in."""

from tools.benchmarks import contenders


def table(networks: list[str], batches: list[int], device: str, peer: str | None, rounds: int,
          seconds: float) -> None:
    """Prints images/s at each batch, peak memory and ratios."""
    rows = []
    for network in networks:
        for batch in batches:
            jobs = {name: contenders.make_job('inference', network, name, folder, device, seconds,
                                              batch=batch)
                    for name, folder in contenders.contenders(device, peer).items()}
            answers = contenders.compare(jobs, rounds)
            for name, found in answers.items():
                rows.append([network, str(batch), name,
                             f'{batch / contenders.median(found, "seconds"):.1f}',
                             f'{contenders.median(found, "memory"):.2f}',
                             contenders.ratio(answers, name, 'baseline'),
                             contenders.ratio(answers, name, 'peer')])
    contenders.print_table(f'Inference; {contenders.where(device)}',
                           ['networks', 'batch', '', 'images/s', 'peak GB', '/ baseline', '/ peer'], rows)


def prepare(job: dict):
    """A function that measures one batch."""
    import torch
    G, _ = contenders.networks(job)
    G.eval()
    z = torch.randn([job['batch'], G.z_dim], device=job['device'])
    c = torch.zeros([job['batch'], 0], device=job['device'])

    def run():
        with torch.inference_mode():
            G(z, c, noise_mode='const')
    return lambda: dict(seconds=contenders.seconds_of(run, job['seconds'], job['device']),
                        memory=contenders.peak_memory(job['device']))
