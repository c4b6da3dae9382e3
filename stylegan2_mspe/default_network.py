"""Which network a command opens when none is named: the newest run's newest snapshot, else the bundled
one.
"""

import pathlib
import re

from stylegan2_mspe import run_folder

BUNDLED = pathlib.Path(__file__).parent / 'pretrained'
PREFERRED = 'mspe-plus-small-colormnist.pkl'
DIGITS = {  # roles of networks in the box that were trained alike on Color-MNIST, for the paper's comparisons
    'baseline': 'baseline-small-colormnist.pkl',
    'sspe': 'sspe-small-colormnist.pkl',
    'mspe': 'mspe-small-colormnist.pkl',
    'mspe-resize': 'mspe-small-resize-colormnist.pkl',
    'mspe-plus': 'mspe-plus-small-colormnist.pkl',
}
EMOJI = {'emoji-baseline': 'baseline-small-emoji.pkl', 'emoji-mspe': 'mspe-small-emoji.pkl'}
ROLES = DIGITS | EMOJI
SNAPSHOT = re.compile(r'network-snapshot-(\d+)\.(\w+)')


def default_network(runs: str = './training-runs') -> str:
    """The path of the newest snapshot under the folder of runs, or of the bundled network.

    Raises ValueError where there is neither.
    """
    return newest_network(runs) or bundled_network(f'no network-snapshot-*.pkl under {runs}')


def newest_network(runs: str, suffix: str = 'pkl') -> str | None:
    """The newest snapshot of the newest run that has one, or None."""
    snapshots = (newest_snapshot(path, suffix) for _, path in run_folder.runs(runs))
    return next(filter(None, snapshots), None)


def newest_snapshot(run: str, suffix: str = 'pkl') -> str | None:
    """The snapshot of a run that has seen most pictures, or None."""
    found = all_snapshots(run, suffix)
    return found[-1][1] if found else None


def all_snapshots(run: str, suffix: str = 'pkl') -> list[tuple[int, str]]:
    """(kimg, path) of every snapshot of a run, in their order."""
    return sorted((int(match[1]), str(path)) for path in pathlib.Path(run).iterdir()
                  if (match := SNAPSHOT.fullmatch(path.name)) and match[2] == suffix)


def bundled_network(why: str = 'no network named') -> str:
    """The path of the network that comes with the package. Raises ValueError, and says why, without one."""
    found = sorted(BUNDLED.glob('*.pkl'), key=lambda path: (path.name != PREFERRED, path.name))
    if not found:
        raise ValueError(f'--network: {why} and none in {BUNDLED}; expected the path of a network')
    return str(found[0])


def bundled_role(role: str) -> str | None:
    """The path of the network in the box that has this role, or None where there is none yet."""
    path = BUNDLED / ROLES[role]
    return str(path) if path.is_file() else None
