"""Which diffusion model a command opens when none is named: the newest run's newest snapshot, else the
bundled one.
"""

import pathlib

from stylegan2_mspe.default_network import newest_network

RUNS = './ddpm-runs'            # apart from the GAN's, so that neither takes the other's for its newest
BUNDLED = pathlib.Path(__file__).parent / 'pretrained'
ROLES = {   # of networks in the box that were trained alike on Color-MNIST, for the paper's comparison
    'baseline': 'baseline-ddpm64-small-colormnist.safetensors',
    'mspe': 'mspe-ddpm64-small-colormnist.safetensors',
}


def default_network(runs: str = RUNS) -> str:
    """The path of the newest snapshot under the folder of runs, or of the bundled MS-PE network.

    Raises ValueError where there is neither.
    """
    found = newest_network(runs, 'safetensors') or bundled_role('mspe')
    if found is None:
        raise ValueError(f'--network: found no network-snapshot-*.safetensors under {runs} and no '
                         f'{ROLES["mspe"]} in {BUNDLED}; expected the path of a network, such as '
                         'tools/train_ddpm.py writes')
    return found


def bundled_role(role: str) -> str | None:
    """The path of the network in the box that has this role, or None where it is not there."""
    path = BUNDLED / ROLES[role]
    return str(path) if path.is_file() else None
