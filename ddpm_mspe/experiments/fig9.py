"""Fig. 9 and E: where is a digit after its reconstruction, if no network has seen one there?

Digits held out of the training are placed at the bottom left, which the canvas says, sent t steps into noise
and brought back. Their ink is then in the quarter it came from, or where the training's digits are, or gone.
E does so with every step of the way back, for a digit of each class, and shows them all.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from PIL import Image

from ddpm_mspe import sampling
from ddpm_mspe.unet_file import Saved
from stylegan2_mspe import images, plots, quality
from stylegan2_mspe.classifier import DigitClassifier, as_patches
from stylegan2_mspe.digits import RESOLUTION
from stylegan2_mspe.experiments import markdown
from stylegan2_mspe.experiments.claims import Claim, needs, settled
from stylegan2_mspe.experiments.held_out import Digits
from stylegan2_mspe.experiments.standard_error import standard_error
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.similarity import grey, patch_at, similarity

ROLES = ('baseline', 'mspe')
TIMES = (100, 200, 300, 400, 500, 600, 700, 800, 900)   # steps of noise
FEW = dict(sampler='ddim', eta=1.)      # with strided steps, for the numbers
FULL = dict(sampler='ancestral')        # with all of them, for the sheet
STEPS = 100                             # of the former, at most
SEEDS, JUDGED = 100, 250                # samples that a network is judged by, and their strided steps
BATCH = 50                              # pictures at a time
SHOWN = 4                               # digits in the sheet
LEAST_INK = 1                           # white pixels; the darkest digits have six
SIDE = RESOLUTION // 2
TRAINED, PLACED = (0, 0), (SIDE, 0)     # top left corners of the quarters
NEAR, FAR = 300, 500                    # up to one t both keep a place, from the other on they differ
LEGIBLE, KEPT, MOVED = 0.6, 0.9, 0.5    # what is asked for: of samples, of digits, of digits

Progress = Callable[[Iterable], Iterable]


class Legibility(quality.Quality):
    """The quality of samples, of which only is asked here that they can be read."""

    @property
    def good(self) -> bool:
        return self.confident >= LEGIBLE


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one network's reconstructions from t steps of noise are."""
    network: str
    t: int
    stays: float                # part of the digits whose ink is in the quarter it came from
    moved: float                # ... and in the quarter of the training's digits
    similarity: float | None    # to the sources, in the quarter they are in (Eq. C), mean; None above NEAR
    error: float | None         # standard error of that mean


# ----- what is measured -------------------------------------------------------------------------------------


def sources(found: Digits) -> torch.Tensor:
    """The digits at the bottom left, [N, 3, 64, 64] in [-1, 1]."""
    return torch.from_numpy(found.pictures).permute(0, 3, 1, 2).roll(PLACED, (2, 3)).float() / 127.5 - 1


def centres_of_ink(greys: torch.Tensor) -> torch.Tensor:
    """Centres of mass of grey [N, H, W]: float64 [N, 2] of (y, x) in pixels from the top left corner.

    NaN where there is not even a white pixel's worth of ink.
    """
    greys = greys.double()
    sums = [greys.sum(dim=axis) for axis in (2, 1)]         # by row, by column
    moments = [(each * (torch.arange(each.shape[1], device=each.device) + 0.5)).sum(1) for each in sums]
    ink = sums[0].sum(1, keepdim=True)
    return torch.where(ink >= LEAST_INK, torch.stack(moments, dim=1) / ink, torch.nan)


def in_quarter(greys: torch.Tensor, corner: tuple[int, int]) -> torch.Tensor:
    """Whether the ink of each [N, H, W] has its centre in the quarter with this top left corner: bool [N]."""
    offsets = centres_of_ink(greys) - torch.tensor(corner, device=greys.device)
    return ((offsets >= 0) & (offsets < SIDE)).all(dim=1)


def reconstructed(saved: Saved, pictures: torch.Tensor, t: int, progress: Progress = iter,
                  **how) -> torch.Tensor:
    """Pictures [N, C, H, W] of the bottom left's canvas, back from t steps of noise.

    Picture i has the noise of seed i, with every network and at every t.
    """
    canvas = Canvas.identity(saved.unet.img_resolution).shifted(*PLACED)
    return torch.cat([
        sampling.reconstructed(saved.unet, saved.diffusion, pictures[start:start + BATCH], t,
                               range(start, min(start + BATCH, len(pictures))), canvas, progress=progress,
                               **how)
        for start in range(0, len(pictures), BATCH)])


def measure(networks: Mapping[str, Saved], found: Digits, steps: int = STEPS,
            progress: Progress = iter) -> list[Place]:
    """Every network from every time; `progress` wraps each loop over steps."""
    pictures = sources(found)
    return places_of(pictures, ways_back(networks, pictures, progress, steps=steps, **FEW))


def ways_back(networks: Mapping[str, Saved], pictures: torch.Tensor, progress: Progress = iter,
              **how) -> dict[str, list[torch.Tensor]]:
    """By network, the pictures [N, C, H, W] brought back from each of TIMES; `how` as in `reconstructed`."""
    return {name: [reconstructed(saved, pictures, t, progress, **how).cpu() for t in TIMES]
            for name, saved in networks.items()}


def places_of(pictures: torch.Tensor, ways: Mapping[str, Sequence[torch.Tensor]]) -> list[Place]:
    """Where they are, by network and time."""
    found, wanted = [], patch_at(grey(pictures), *PLACED, SIDE)
    for name, each in ways.items():
        for t, back in zip(TIMES, map(grey, each)):
            mean = error = None
            if t <= NEAR:
                alike = similarity(patch_at(back, *PLACED, SIDE), wanted)
                mean, error = float(alike.mean()), float(standard_error(alike.numpy()))
            found.append(Place(name, t, share(in_quarter(back, PLACED)), share(in_quarter(back, TRAINED)),
                               mean, error))
    return found


def share(marks: torch.Tensor) -> float:
    return float(marks.double().mean())


def judge(saved: Saved, classifier: DigitClassifier, progress: Progress = iter) -> Legibility:
    """Whether the network's own digits, where it has learnt to draw them, can be read."""
    found, steps = [], min(JUDGED, saved.diffusion.steps)
    for start in range(0, SEEDS, BATCH):
        seeds = range(start, min(start + BATCH, SEEDS))
        pictures = sampling.sample(saved.unet, saved.diffusion, seeds, steps=steps, progress=progress, **FEW)
        found.append(classifier.judge(as_patches(patch_at(grey(pictures), *TRAINED, SIDE))))
    judged = quality.of_judgement(type(found[0])(*map(torch.cat, zip(*found))))
    return Legibility(**dataclasses.asdict(judged))


# ----- what is shown ----------------------------------------------------------------------------------------


def sheet(pictures: torch.Tensor, ways: Mapping[str, Sequence[torch.Tensor]]) -> Image.Image:
    """A row for each digit and network, a column for each t."""
    rows, labels = [], []
    for index, picture in enumerate(pictures):
        for name, each in ways.items():
            rows.append([picture, *(back[index] for back in each)])
            labels.append(name)
    return images.labelled_grid(rows, labels, ['source', *(f't = {t}' for t in TIMES)],
                                'Digits at the bottom left, sent t steps into noise and back')


def plot(places: Sequence[Place]) -> Image.Image:
    """Where the ink is, by t: in the quarter it came from, and in the training's."""
    titles = dict(stays='In the quarter it came from', moved="In the training's quarter")
    names = dict.fromkeys(each.network for each in places)
    panels = [plots.line_plot(
        {name: (TIMES, [getattr(each, field) for each in places if each.network == name]) for name in names},
        title=title, x_label='t, steps of noise', x_ticks=TIMES, y_label='part of the digits', y_range=(0, 1))
        for field, title in titles.items()]
    return plots.panels([panels])


def table(places: Sequence[Place]) -> list[str]:
    """A Markdown table: networks by times."""
    lines = []
    for name in dict.fromkeys(each.network for each in places):
        own = [each for each in places if each.network == name]
        alike = ['' if each.similarity is None else f'{each.similarity:.3f} ± {each.error:.3f}'
                 for each in own]
        lines += [[f'{name}, in its quarter', *(f'{each.stays:.0%}' for each in own)],
                  [f"{name}, in the training's", *(f'{each.moved:.0%}' for each in own)],
                  [f'{name}, similarity', *alike]]
    return markdown.table(['', *(f't = {t}' for t in TIMES)], lines)


# ----- what is claimed --------------------------------------------------------------------------------------


def claims(places: Sequence[Place], qualities: dict[str, Legibility]) -> list[Claim]:
    """What is expected after Sec. 4.5."""
    legible = Claim(f'{LEGIBLE:.0%} of the samples of each network are surely a digit',
                    ', '.join(f'{name} {each.confident:.0%}' for name, each in qualities.items()),
                    all(each.good for each in qualities.values()))
    near = {role: [each for each in places if each.network == role and each.t <= NEAR] for role in ROLES}
    far = {role: [each for each in places if each.network == role and each.t >= FAR] for role in ROLES}
    keep = [_claim(f'{role} keeps {KEPT:.0%} of the digits in their quarter up to t = {NEAR}', role,
                   [each.stays for each in near[role]], KEPT, qualities) for role in ROLES]
    return [legible, *keep,
            _claim(f'from t = {FAR} on the baseline moves most digits to the upper left', 'baseline',
                   [each.moved for each in far['baseline']], MOVED, qualities),
            _claim(f'from t = {FAR} on MS-PE keeps {KEPT:.0%} of the digits in their quarter', 'mspe',
                   [each.stays for each in far['mspe']], KEPT, qualities)]


def _claim(text: str, role: str, shares: Sequence[float], least: float, qualities: dict) -> Claim:
    """That the share is never below `least`."""
    if not shares:
        return needs(text, [role])
    return settled(text, f'{min(shares):.0%} at the least', min(shares) >= least, qualities, [role])
