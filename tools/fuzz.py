"""Damages network files and dataset zips at random and reads them: no traceback, no hang, nothing runs."""

import collections
import pathlib
import sys
import tempfile

import click

if not __package__:     # started as `python tools/fuzz.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli  # noqa: E402
from tools.fuzzing.damage import damaged  # noqa: E402
from tools.fuzzing.guard import Guard  # noqa: E402
from tools.fuzzing.originals import make_cases  # noqa: E402


@click.command(context_settings=cli.SETTINGS)
@click.option('--count', type=click.IntRange(1), default=10_000, show_default=True, help='Files to try')
@click.option('--first', type=click.IntRange(0), default=0, show_default=True, help='Number of the first')
@click.option('--seed', type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
def main(count, first, seed):
    """Reads damaged pickles, .pt files, safetensors (of GANs and of diffusion models) and dataset zips, and
    reports what went wrong.

    File number N of a seed is always the same: --first=N --count=1 repeats it.

    \b
    python tools/fuzz.py                              # a few minutes
    python tools/fuzz.py --seed=7 --first=4711 --count=1
    """
    with tempfile.TemporaryDirectory() as folder:
        cases = make_cases(folder)
        guard = Guard()
        outcomes, failures = collections.Counter(), {}
        for number in cli.progress(range(first, first + count), count, 'files'):
            case, data = damaged(cases, seed, number)
            outcome = guard.watch(case, data)
            outcomes[case.name, outcome.split(':')[0]] += 1
            if outcome not in ('read', 'refused'):
                failures.setdefault((case.name, outcome[:60]), []).append((number, outcome))
    for (name, outcome), times in sorted(outcomes.items()):
        click.echo(f'{name:12} {outcome:10} {times}')
    for (name, _), alike in failures.items():
        number, outcome = alike[0]
        click.echo(f'file {number} ({name}; {len(alike)} like it): {outcome}')
    if failures:
        wrong = sum(map(len, failures.values()))
        raise ValueError(f'{wrong} of {count} files were read in a way they must not be')


if __name__ == '__main__':
    cli.run(main)
