"""Computes metrics of a network: how good and how varied its pictures are, and what a shift does to them."""

import json
import os
import sys

import click

from tools import cli, drawing, processes


@click.command(context_settings=cli.SETTINGS)
@drawing.options('network')
@cli.metrics_option('Which, separated by commas', default='fid50k_full', show_default=True)
@click.option('--data', metavar='PATH', help='Dataset to compare with: a zip or folder, or demo  [default: '
              'the one in the network file]')
@click.option('--mirror', type=bool, metavar='BOOL', help='Whether the pictures were also trained with '
              'mirrored; matters to metrics without _full  [default: as the network file says]')
@click.option('--gpus', type=click.IntRange(min=1), default=1, show_default=True, metavar='N',
              help='Processes: one for each GPU or, with --device=cpu, as many on its cores')
@cli.detector_option()
@click.option('--seed', type=click.IntRange(0, 4293), default=0, show_default=True,
              help='Which pictures are generated')
@click.option('--verbose', type=bool, default=True, show_default=True, metavar='BOOL',
              help='Show the progress, and results in words')
@drawing.options('device')
def main(network, metrics, data, mirror, gpus, detectors, seed, verbose, device):
    """Computes metrics of a network. Each is printed as a line of JSON, with all that the number depends on;
    of a network in its run folder, the line is also added to metric-<name>.jsonl there.

    \b
    fid50k_full, kid50k_full, pr50k3_full   50,000 pictures against the whole dataset, as it is
    fid50k, kid50k, pr50k3                  against as many of the pictures it was trained with
    is50k, ppl2_wend, ppl_zfull, ppl_wfull, ppl_zend, ppl_wend      of the network alone
    fid5k_full, pr10k3, ...                 of 5,000, 10,000, ... pictures; fid is fid50k_full
    fid@384x512, pr10k3@96x96, ...          pictures of that height and width
    fid_mnist, pr_mnist, acc_mnist          of digits, by the classifier in the box, which needs no download
    eqt_int, eqt_frac, shift_sim, noise_std of what a shift, and the noise, do to pictures

    \b
    python calc_metrics.py --metrics=fid_mnist,eqt_int --data=color-mnist.zip
    python calc_metrics.py --network=faces.pkl --metrics=fid50k_full,pr50k3_full --data=ffhq256.zip --gpus=8
    python calc_metrics.py --network=faces.pkl --metrics=fid50k@384x384 --detector=inception-2015-12-05.pt
    """
    from stylegan2_mspe.default_network import default_network
    from stylegan2_mspe.metrics.available import require

    if not metrics:
        raise ValueError('--metrics=none: expected at least one to compute')
    where = cli.pick_device(device)
    if gpus > 1:
        check_devices(where.type, gpus, device)
    require(metrics, detectors)
    job = dict(network=network or default_network(), metrics=metrics, data=data, mirror=mirror,
               detectors=detectors, seed=seed, verbose=verbose, device=where.type)
    processes.run(gpus, compute, job)


def check_devices(kind, count, asked):
    """Raises ValueError where there are fewer devices than processes would be started on."""
    from stylegan2_mspe import distributed

    if kind == 'cpu' and asked != 'cpu':
        raise ValueError(f'--gpus={count}: found no CUDA device on this machine, expected {count}, or '
                         '--device=cpu, which starts as many processes on its cores')
    distributed.check_devices(kind, count)


def compute(job):
    """Computes and reports, in each of the processes."""
    from stylegan2_mspe import distributed, legacy, rendering
    from stylegan2_mspe.metrics import log
    from stylegan2_mspe.metrics.calculation import calculate, check_data
    from stylegan2_mspe.metrics.registry import parse

    content = legacy.load_network_pkl(job['network'])
    G = rendering.prepare(content['G_ema'], distributed.device(job['device']))
    dataset_kwargs = dataset_of(content['training_set_kwargs'], job['data'], job['mirror'], G)
    for metric in job['metrics']:
        check_data(parse(metric), dataset_kwargs)
    wanted = [parse(name).metric for name in job['metrics']]
    if any(metric.data or metric.detector and G.c_dim and dataset_kwargs for metric in wanted):
        look_for(dataset_kwargs, job['data'])       # of a conditional network also for its labels
    talks = distributed.is_first() and job['verbose']
    if talks:
        print(f'Network: {job["network"]}', file=sys.stderr)
    options = dict(shared={}, **dict(progress=cli.progress) if talks else {})
    for metric in job['metrics']:
        result = calculate(G, metric, dataset_kwargs=dataset_kwargs, seed=job['seed'],
                           detectors=job['detectors'], **options)
        if distributed.is_first():
            report(log, result, job['network'], job['verbose'])


def dataset_of(recorded, data, mirror, G):
    """The dataset that was asked for, else the one that the network file names; None where there is none."""
    from stylegan2_mspe.dataset import dataset_kwargs

    if data is not None:
        recorded = dataset_kwargs(data, resolution=G.img_resolution, use_labels=G.c_dim > 0,
                                  xflip=bool((recorded or {}).get('xflip')))
    if recorded is not None and mirror is not None:
        recorded = dict(recorded, xflip=mirror)
    return recorded


def look_for(dataset_kwargs, data):
    """Raises ValueError where the dataset can't be opened."""
    from stylegan2_mspe.dataset import construct_dataset

    try:
        construct_dataset(**dataset_kwargs).close()
    except (ValueError, OSError) as error:
        if data is not None:
            raise
        raise ValueError(f'--data is missing, and of the dataset in the network file: {error}') from error


def report(log, result, network, verbose):
    """Prints the numbers, and adds them to the run's."""
    from stylegan2_mspe import distributed
    from stylegan2_mspe.run_folder import OPTIONS

    folder, name = os.path.split(os.path.abspath(network))
    line = log.line(result, name, distributed.size())
    print(json.dumps(line), flush=True)
    if verbose:
        print(f'{result.sentence()}.', file=sys.stderr)
    if os.path.isfile(os.path.join(folder, OPTIONS)):
        log.append(folder, line)
