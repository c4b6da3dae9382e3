"""Repeats an experiment of the paper: one command, a picture, the numbers as JSON, what the paper says."""

import json
import os
import pathlib
import sys

import click

if not __package__:     # started as `python tools/reproduce.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli, diffusing, drawing  # noqa: E402


@click.group(context_settings=cli.SETTINGS, epilog='Example: python tools/reproduce.py fig2 --seeds=256')
def main():
    """Repeats an experiment of the paper; results go to ./out.

    Networks are those in the box unless --network names others: a file, LABEL=FILE, or one in the box by what
    it is: baseline, sspe, mspe, mspe-resize or mspe-plus. What a paper says of MS-PE is asked of the network
    labelled mspe, and so on.
    """


def named_networks(context, parameter, values):
    """label=FILE, or FILE or a role, which are their own labels -> {label: file or role}."""
    files = {}
    for value in values:
        label, file = (None, value) if os.path.exists(value) or '=' not in value else value.split('=', 1)
        label = label or pathlib.Path(file).stem
        if label in files:
            raise click.BadParameter(f'{label!r} twice: expected a label of its own for each, as in a={file}')
        files[label] = file
    return files


def options(seeds):
    """What every experiment takes, with its own number of latents."""
    def add(program):
        for option in (
            click.option('--network', 'files', metavar='[LABEL=]PKL', multiple=True, callback=named_networks,
                         help='Network to measure; several times for several  [default: those in the box]'),
            click.option('--seeds', 'count', type=click.IntRange(min=1), default=seeds, show_default=True,
                         help='Number of latents'),
            click.option('--outdir', default='./out', show_default=True), drawing.options('device'),
        )[::-1]:
            program = option(program)
        return program
    return add


@main.command()
@options(seeds=1000)
def quality(files, count, outdir, device):
    """How often a network draws each class, and how surely a digit."""
    networks, files = open_networks(files, None, device)
    found = judge(networks, device, count)
    numbers = dict(networks=files, quality={label: each.as_dict() for label, each in found.items()})
    finish('quality', outdir, numbers, {}, [f'{label}: {each.sentence()}.' for label, each in found.items()])


@main.command()
@options(seeds=1000)
def fig2(files, count, outdir, device):
    """Digits after shifts of 0 to 32 pixels: similarity with themselves, and whether they can still be read.

    Needs networks baseline, sspe, mspe and mspe-plus.
    """
    import dataclasses

    from stylegan2_mspe.experiments import fig2

    networks, files = open_networks(files, fig2.ROLES, device)
    result = fig2.measure(networks, range(count), open_classifier(device),
                          batches('batches', count, len(networks) * len(fig2.DIRECTIONS)))
    numbers = dict(seeds=count, networks=files, shifts=fig2.SHIFTS,
                   curves=[dataclasses.asdict(curve) for curve in result.curves],
                   quality={label: each.as_dict() for label, each in result.qualities.items()})
    pictures = {'': fig2.plot(result), '-digits': fig2.digits(networks, range(4))}
    finish('fig2', outdir, numbers, pictures, map(fig2.summary, result.curves), fig2.claims(result))


@main.command()
@options(seeds=32)
def fig4(files, count, outdir, device):
    """How much pictures vary with the noise, over 100 noise maps.

    Needs networks sspe and mspe.
    """
    from stylegan2_mspe.experiments import fig4

    networks, files = open_networks(files, fig4.ROLES, device)
    found = fig4.measure(networks, range(count), progress=batches('seeds', count, len(networks), size=1))
    qualities = judge(networks, device)
    numbers = dict(seeds=count, maps=fig4.MAPS, networks=files, deviations=[each.as_dict() for each in found],
                   quality={label: each.as_dict() for label, each in qualities.items()})
    finish('fig4', outdir, numbers, {'': fig4.picture(networks, found, range(count))},
           [f'{each.sentence()}.' for each in found], fig4.claims(found, qualities))


@main.command('figA')
@options(seeds=256)
def fig_a(files, count, outdir, device):
    """A digit at successive shifts, down and to the right, as a grid.

    Needs a network mspe; others are measured beside it.
    """
    import dataclasses

    from stylegan2_mspe.experiments import fig_a

    networks, files = open_networks(files, fig_a.ROLES, device)
    tables = fig_a.measure(networks, range(count), open_classifier(device),
                           batches('batches', count, len(networks)))
    qualities = judge(networks, device)
    numbers = dict(seeds=count, networks=files, steps=fig_a.STEPS,
                   tables=[dataclasses.asdict(table) for table in tables],
                   quality={label: each.as_dict() for label, each in qualities.items()})
    finish('figA', outdir, numbers, {'': fig_a.picture(networks)}, map(fig_a.summary, tables),
           fig_a.claims(tables, qualities))


@main.command()
@click.option('--run', 'runs', metavar='[LABEL=]DIR', multiple=True, callback=named_networks, required=True,
              help='Run folder; several times for several')
@click.option('--judge', 'count', type=click.IntRange(min=0), default=0, show_default=True,
              help='Number of latents to judge every snapshot by, as digits')
@click.option('--outdir', default='./out', show_default=True)
@drawing.options('device')
def curves(runs, count, outdir, device):
    """Training curves: losses, variety, and with --judge the quality of every snapshot."""
    import functools

    from stylegan2_mspe import default_network
    from stylegan2_mspe.experiments import curves

    found = [curves.read_run(label, folder) for label, folder in runs.items()]
    if count:
        snapshots = [default_network.all_snapshots(folder) for folder in runs.values()]
        progress = batches('snapshots', sum(map(len, snapshots)), 1, size=1)
        classifier = open_classifier(device)
        found = [curves.judge_snapshots(
            run, ((kimg, functools.partial(open_network, file, device)) for kimg, file in progress(each)),
            count, classifier) for run, each in zip(found, snapshots)]
    numbers = dict(runs=runs, seeds=count, curves=[run.as_dict() for run in found])
    finish('curves', outdir, numbers, {'': curves.plot(found)}, [f'{run.sentence()}.' for run in found])


@main.command()
@click.option('--network', 'files', metavar='[LABEL=]PKL', multiple=True, callback=named_networks,
              help='Network to measure; several times for several  [default: those in the box]')
@click.option('--data', metavar='FOLDER', help='The four MNIST files: their test digits are projected  '
              '[default: built-in digits, which networks of MNIST have not seen either]')
@click.option('--digits', 'count', type=click.IntRange(min=1), default=50, show_default=True)
@click.option('--steps', type=click.IntRange(min=1), default=1000, show_default=True,
              help='Steps of every projection')
@click.option('--outdir', default='./out', show_default=True)
@drawing.options('device')
def fig5(files, data, count, steps, outdir, device):
    """Inversion of digits at other places than those of the training set, and of the places themselves.

    Needs networks baseline, sspe and mspe.
    """
    import dataclasses

    from stylegan2_mspe.experiments import fig5
    from stylegan2_mspe.experiments.held_out import held_out_digits
    from stylegan2_mspe.inversion.projection import RECIPES

    networks, files = open_networks(files, fig5.ROLES, device)
    digits = held_out_digits(data, count)
    recipe = dataclasses.replace(RECIPES['paper'], steps=steps)
    progress = lambda label: lambda loop: cli.progress(loop, len(loop), label)
    scores, shown = fig5.measure(networks, digits, open_classifier(device), recipe, progress)
    searches, places = fig5.search(networks, digits, recipe, progress=progress)
    qualities = judge(networks, device)
    numbers = dict(digits=count, data='MNIST test' if data else 'built in', steps=steps, loss=fig5.LOSS,
                   networks=files, scores=[dataclasses.asdict(each) for each in scores],
                   searches=[dataclasses.asdict(each) for each in searches],
                   quality={label: each.as_dict() for label, each in qualities.items()})
    lines = [*fig5.table(scores), *(each.sentence() for each in searches)]
    finish('fig5', outdir, numbers, {'': shown, '-places': places}, lines,
           fig5.claims(scores, searches, qualities))


@main.command()
@click.option('--network', 'files', metavar='[LABEL=]FILE', multiple=True, callback=named_networks,
              help='Network of train_ddpm.py; several times for several  [default: those in the box]')
@click.option('--data', metavar='FOLDER', help='The four MNIST files: their test digits are reconstructed  '
              '[default: built-in digits, which networks of MNIST have not seen either]')
@click.option('--digits', 'count', type=click.IntRange(min=1), default=100, show_default=True)
@click.option('--steps', type=click.IntRange(min=1), default=100, show_default=True,
              help='Of the way back, at most; the pictures shown take all')
@click.option('--outdir', default='./out', show_default=True)
@drawing.options('device')
def fig9(files, data, count, steps, outdir, device):
    """Diffusion models: are digits that are placed at the bottom left reconstructed there?

    Needs networks baseline and mspe.
    """
    import dataclasses

    from ddpm_mspe import default_network
    from ddpm_mspe.experiments import fig9
    from stylegan2_mspe.experiments.held_out import held_out_digits

    files = named_or_boxed(files, fig9.ROLES, default_network)
    networks = {label: open_diffusion(file, device) for label, file in files.items()}
    digits, classifier = held_out_digits(data, count), open_classifier(device)
    counting = lambda label, batches, of: diffusing.counting(len(networks) * batches * sum(of), label)
    parts, ways = -(-count // fig9.BATCH), [min(steps, t) for t in fig9.TIMES]
    places = fig9.measure(networks, digits, steps, counting('Reconstructing: steps', parts, ways))
    progress = counting('Sampling: steps', -(-fig9.SEEDS // fig9.BATCH), [steps])
    qualities = {label: fig9.judge(saved, classifier, steps, progress) for label, saved in networks.items()}
    shown = fig9.sheet(networks, digits, counting('Sheet: steps', 1, fig9.TIMES))
    numbers = dict(digits=count, data='MNIST test' if data else 'built in', steps=steps,
                   networks={label: os.path.relpath(file) for label, file in files.items()},
                   places=[dataclasses.asdict(each) for each in places],
                   quality={label: each.as_dict() for label, each in qualities.items()})
    finish('fig9', outdir, numbers, {'': shown, '-places': fig9.plot(places)}, fig9.table(places),
           fig9.claims(places, qualities))


@main.command()
@click.option('--network', metavar='PKL', help='Network to draw with  [default: the one in the box]')
@click.option('--seeds', type=drawing.SeedsType(), default='2,9', show_default=True,
              help='Rows of the pictures')
@click.option('--outdir', default='./out', show_default=True)
@drawing.options('device')
def canvas(network, seeds, outdir, device):
    """The pictures of docs/canvas.md: shift, size, repetition, extrapolation, plane and leak."""
    from stylegan2_mspe import default_network
    from stylegan2_mspe.experiments import canvas

    network = network or default_network.bundled_network()
    G = open_network(network, device)
    found = canvas.numbers(G, seeds)
    pictures = {f'-{name}': picture for name, picture in canvas.pictures(G, seeds).items()}
    lines = [f'On a plane, a shift by a quarter is the rolled picture to {found["rolled"]:.2g} of 255 '
             f'levels, and copies of a repeated stretch are alike to {found["repeated"]:.2g}.']
    finish('canvas', outdir, dict(network=os.path.relpath(network), seeds=seeds, **found), pictures, lines)


# ----- shared -----------------------------------------------------------------------------------------------


def open_networks(files, roles, device):
    """({label: G}, {label: file}): those named, else those in the box of these roles (None: of any)."""
    from stylegan2_mspe import default_network

    roles = default_network.ROLES if roles is None else roles
    files = named_or_boxed(files, roles, default_network)
    networks = {label: open_network(file, device) for label, file in files.items()}
    return networks, {label: os.path.relpath(file) for label, file in files.items()}


def named_or_boxed(files, roles, box):
    """{label: file}: those named, by file or role, else those of these roles. box: module of the networks
    that there are.
    """
    if not files:
        boxed = {role: box.bundled_role(role) for role in roles}
        files = {role: file for role, file in boxed.items() if file}
        missing = [role for role in roles if role not in files]
        if not files:
            raise ValueError(f'--network: found no network in the box for {", ".join(missing)}, '
                             'expected LABEL=FILE for each')
        if missing:
            print(f'Note: there is no network in the box for {", ".join(missing)}; '
                  f'--network={missing[0]}=FILE measures one.')
    return {label: file if os.path.exists(file) or file not in box.ROLES else required(file, box)
            for label, file in files.items()}


def required(role, box):
    """The path of the network in the box that has this role. Raises ValueError where there is none."""
    path = box.bundled_role(role)
    if path is None:
        raise ValueError(f'--network={role}: found no {box.ROLES[role]} in the box, expected {role}=FILE')
    return path


def open_network(file, device):
    from stylegan2_mspe import legacy, rendering
    return rendering.prepare(legacy.load_network_pkl(file)['G_ema'], cli.pick_device(device))


def open_diffusion(file, device):
    from ddpm_mspe import sampling
    from ddpm_mspe.unet_file import load_unet
    from stylegan2_mspe.digits import RESOLUTION

    saved = load_unet(file)
    size, channels = saved.unet.img_resolution, saved.unet.img_channels
    if (size, channels) != (RESOLUTION, 3):
        raise ValueError(f'--network={file}: found a network of {size}x{size} pictures of {channels} '
                         f'channels, expected {RESOLUTION}x{RESOLUTION} in RGB, as the digits are')
    return saved._replace(unet=sampling.prepare(saved.unet, cli.pick_device(device)))


def open_classifier(device):
    from stylegan2_mspe.classifier import load_classifier
    return load_classifier(device=cli.pick_device(device))


def judge(networks, device, count=None):
    """{label: the quality of the network}"""
    from stylegan2_mspe import quality

    classifier, seeds = open_classifier(device), range(count or quality.SEEDS)
    progress = batches('quality: batches', len(seeds), len(networks))
    return {label: quality.measure(G, seeds, classifier, progress=progress) for label, G in networks.items()}


def batches(label, count, loops, size=32):
    """What wraps each of several loops over batches of `count` latents, to show the progress of them all."""
    total = -(-count // size) * loops
    shown = iter(cli.progress(range(total), total, label))

    def wrap(loop):
        for batch in loop:
            next(shown)
            yield batch
    return wrap


def finish(name, outdir, numbers, pictures, lines, claims=()):
    """Writes `name`.json and the pictures (by ending of their name), prints what was found and what holds."""
    from stylegan2_mspe import images
    from stylegan2_mspe.files import atomic_write

    os.makedirs(outdir, exist_ok=True)
    for ending, picture in pictures.items():
        images.save_png(picture, os.path.join(outdir, f'{name}{ending}.png'))
    with atomic_write(os.path.join(outdir, f'{name}.json'), 'w') as file:
        numbers = dict(experiment=name, claims=[claim._asdict() for claim in claims], **numbers)
        json.dump(numbers, file, indent=1, allow_nan=False)
    print('\n'.join([*lines, *(claim.sentence() for claim in claims)]))
    written = [f'{name}{ending}.png' for ending in pictures] + [f'{name}.json']
    print(f'Written: {", ".join(written)} in {outdir}')


if __name__ == '__main__':
    cli.run(main)
