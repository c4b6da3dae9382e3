"""Fig. 4: how much of a picture is left to the noise? Standard deviation of each pixel over many noise maps.

A generator that is told positions at every scale has less use for noise to make them up.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import images, quality, rendering
from stylegan2_mspe.experiments.claims import Claim, good_networks, needs, settled
from stylegan2_mspe.experiments.standard_error import standard_error
from stylegan2_mspe.metrics.noise_deviation import MAPS, noise_deviation

ROLES = ('sspe', 'mspe', 'baseline')
SHOWN = 6                       # seeds in the picture
CLAIM = "SS-PE's pictures vary with the noise more than MS-PE's (Fig. 4)"


@dataclasses.dataclass(frozen=True)
class Deviation:
    """One network's standard deviations over noise maps, in levels of 255."""
    network: str
    per_seed: list[float]       # mean over the pixels of each seed's picture
    mean: float                 # of those
    error: float                # standard error of that mean
    in_patch: float             # mean over the upper left quarter, where the digits are
    maps: np.ndarray            # of the SHOWN first seeds, float32 [seeds, R, R]

    def as_dict(self) -> dict:
        """For JSON, without the maps."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)
                if field.name != 'maps'}

    def sentence(self) -> str:
        return (f'{self.network}: standard deviation {self.mean:.3g} ± {self.error:.1g} of 255 '
                f'over all pixels, {self.in_patch:.3g} where the digits are')


def measure(networks: Mapping[str, torch.nn.Module], seeds: Sequence[int],
            progress: Callable[[Iterable], Iterable] = iter) -> list[Deviation]:
    """Each network's deviations; `progress` wraps each network's loop over the seeds."""
    found = []
    for name, G in networks.items():
        each = []
        for seed in progress(seeds):
            deviation = noise_deviation(G, rendering.seed_ws(G, [seed]), MAPS, seed)
            each.append(deviation.float().cpu().numpy())
        stacked = np.stack(each)
        half = stacked.shape[1] // 2
        per_seed = stacked.mean(axis=(1, 2), dtype=np.float64)
        error = standard_error(per_seed)
        found.append(Deviation(name, per_seed.tolist(), float(per_seed.mean()), float(error),
                               float(stacked[:, :half, :half].mean(dtype=np.float64)), stacked[:SHOWN]))
    return found


def claims(found: Sequence[Deviation], qualities: dict[str, quality.Quality]) -> list[Claim]:
    """What the paper says of SS-PE against MS-PE, with the ratio."""
    means = {each.network: each.mean for each in found}
    if not {'sspe', 'mspe'} <= means.keys():
        return [good_networks(qualities), needs(CLAIM, ['sspe', 'mspe'])]
    ratio = means['sspe'] / max(means['mspe'], 1e-12)
    text = f'{means["sspe"]:.3g} against {means["mspe"]:.3g}, a ratio of {ratio:.2f}'
    return [good_networks(qualities), settled(CLAIM, text, ratio > 1, qualities, ['sspe', 'mspe'])]


def picture(networks: Mapping[str, torch.nn.Module], found: Sequence[Deviation],
            seeds: Sequence[int]) -> Image.Image:
    """For each network its pictures and, below them, the deviations; brightness alike throughout."""
    brightest = max(float(each.maps.max()) for each in found) or 1.
    rows, labels, shown = [], [], seeds[:SHOWN]
    for each in found:
        G = networks[each.network]
        rows.append(list(rendering.render(G, rendering.seed_ws(G, shown), None)))
        rows.append([images.to_uint8(values[None], (0, brightest)) for values in each.maps])
        labels += [each.network, f'deviation, mean {each.mean:.3g}']
    return images.labelled_grid(rows, labels, [f'seed {seed}' for seed in shown],
                                f'Standard deviation over the noise (white = {brightest:.2g} of 255)')
