"""Starting from a trained network: with other encodings, resolution, channels, colours or labels."""

import dataclasses
import math

import torch
from torch.nn.functional import interpolate

from stylegan2_mspe import legacy
from stylegan2_mspe.similarity import LUMA

PICTURES = 16           # latents of which the first pictures are compared
NAMES_SHOWN = 4         # in a row of the table


@dataclasses.dataclass
class Outcome:
    """What became of the tensors of one network, by name."""
    copied: list[str] = dataclasses.field(default_factory=list)     # name and shape agreed
    resized: list[str] = dataclasses.field(default_factory=list)    # fitted to other labels or colours
    new: list[str] = dataclasses.field(default_factory=list)        # ours, and as random as before
    left: list[str] = dataclasses.field(default_factory=list)       # theirs, and not used


def start_from(source: str, models: dict[str, torch.nn.Module]) -> list[str]:
    """Gives G, D and G_ema what fits of the networks in a file or URL; returns lines that say what did.

    A tensor is copied where name and shape agree. Levels are named by their resolution, so networks of two
    resolutions share all levels but the finest; finer ones than theirs begin without a say in the picture. A
    level with another number of channels begins anew, as half of a trained layer is none. The learned
    constant is left where an encoding takes its place. Two things are resized: the first mapping layer where
    only one of the networks has labels (the latent's columns are copied), and the colours of the picture
    (grey becomes red, green and blue, or the reverse). A γ that the source lacks starts at 0 or 1, whichever
    draws pictures nearer to the source's. A D that the file lacks begins anew, and a G from G_ema. Raises
    ValueError, OSError for a file that is none.
    """
    loaded = legacy.load_network_pkl(source)
    theirs = dict(G=loaded['G'] or loaded['G_ema'], D=loaded['D'], G_ema=loaded['G_ema'])
    outcomes = {name: copy_tensors(theirs[name], module) for name, module in models.items()}
    original, G_ema = loaded['G_ema'], models['G_ema']
    for name in 'G', 'G_ema':
        _hush_finer(original, models[name])
    lines = [f'Starting from {source}: {_describe(original)}']
    lines += table({name: outcomes[name] for name in 'GD'})
    if loaded['D'] is None:
        lines.append('There is no discriminator in the file: it begins anew.')
    gammas = [name for name in outcomes['G_ema'].new if name.endswith('.gamma')]
    lines.append(_start_gammas(original, G_ema, gammas))
    if gammas:
        values = G_ema.state_dict()
        models['G'].load_state_dict({name: values[name] for name in gammas}, strict=False)
    return [line for line in lines if line] + _hints(original, G_ema)


# ----- tensors ----------------------------------------------------------------------------------------------


@torch.no_grad()
def copy_tensors(theirs: torch.nn.Module | None, ours: torch.nn.Module) -> Outcome:
    """Copies what fits, and says what did and what did not. A frozen layer's are copied too."""
    outcome = Outcome()
    found = {} if theirs is None else theirs.state_dict()
    for name, target in ours.state_dict().items():
        value = found.get(name)
        if value is not None and value.shape == target.shape:
            outcome.copied.append(name)
        elif value is not None and (value := resized(name, value, theirs, ours)) is not None:
            outcome.resized.append(name)
        else:
            outcome.new.append(name)
            continue
        target.copy_(value)
    used = {*outcome.copied, *outcome.resized}
    outcome.left = [name for name in found if name not in used]
    return outcome


def resized(name: str, value: torch.Tensor, theirs: torch.nn.Module,
            ours: torch.nn.Module) -> torch.Tensor | None:
    """Their tensor in the shape of ours of that name, where that makes sense, else None."""
    target = ours.state_dict()[name].cpu()
    if name == 'mapping.fc0.weight' and theirs.z_dim == ours.z_dim and len(value) == len(target):
        # Unscaled beside the labels' random columns: layers divide by the root of their inputs, so that w
        # stays as large as it was.
        return torch.cat([value[:, :ours.z_dim], target[:, ours.z_dim:]], dim=1)
    before, after = theirs.img_channels, ours.img_channels
    if before == after:
        return None
    if name.endswith(('.torgb.weight', '.torgb.bias')) and value.shape[1:] == target.shape[1:]:
        return torch.tensordot(colours(before, after), value, dims=1)
    if '.fromrgb.weight' in name and len(value) == len(target):     # sees pictures turned into their colours
        seen = torch.einsum('oihw,ij->ojhw', value, colours(after, before))
        return seen * math.sqrt(after / before)     # the layer divides by the root of its inputs
    return None


def colours(before: int, after: int) -> torch.Tensor:
    """Matrix [after, before] that turns a pixel of 1, 3 or 4 channels into one of another number.

    Alpha is lost, and half where it is new.
    """
    matrix = torch.zeros([after, before])
    if before == 1:
        matrix[:3] = 1
    elif after == 1:
        matrix[0, :3] = torch.tensor(LUMA)
    else:
        matrix[:3, :3] = torch.eye(3)
    return matrix


@torch.no_grad()
def _hush_finer(theirs: torch.nn.Module, ours: torch.nn.Module) -> None:
    """Where each level adds to the picture, those they lack add nothing until they have learned something."""
    if not hasattr(getattr(ours.synthesis, f'b{theirs.img_resolution}', None), 'torgb'):
        return
    for resolution in ours.synthesis.block_resolutions:
        if resolution > theirs.img_resolution:
            getattr(ours.synthesis, f'b{resolution}').torgb.weight.zero_()


# ----- first pictures ---------------------------------------------------------------------------------------


@torch.no_grad()
def _start_gammas(original: torch.nn.Module, G: torch.nn.Module, names: list[str]) -> str:
    """Sets the parameters γ of these names to 0 or 1, whichever is nearer; says how near."""
    measure = f'(RMS of {PICTURES} in [-1, 1])'
    if not names:
        apart = difference(original, G)
        return '' if apart is None else f'First pictures differ from its pictures by {apart:.3f} {measure}.'
    parameters = dict(G.named_parameters())

    def apart_with(value):
        for name in names:
            parameters[name].fill_(value)
        return difference(original, G)

    apart = {value: apart_with(value) for value in (0, 1)}
    if apart[1] is None:    # 1 is what the paper begins with, and set last
        return 'First pictures cannot be compared, as the latents differ: γ starts at 1.'
    best = min(apart, key=apart.get)
    apart_with(best)
    return (f'First pictures differ from its pictures by {apart[0]:.3f} with γ = 0 and {apart[1]:.3f} '
            f'with γ = 1 {measure}: γ starts at {best}.')


def difference(first: torch.nn.Module, second: torch.nn.Module) -> float | None:
    """Root of the mean square difference of two generators' pictures of the same latents, stored noise.

    Larger pictures are averaged down to the smaller size, and other colours compared in grey; labels, where
    both have the same number, are all in turn, else none. None where the latents differ in length.
    """
    if first.z_dim != second.z_dim:
        return None
    z = torch.randn([PICTURES, first.z_dim], generator=torch.Generator().manual_seed(0))
    labelled = first.c_dim == second.c_dim
    size = min(first.img_resolution, second.img_resolution)
    device = next(second.parameters()).device
    home = next(first.parameters()).device

    def draw(G, latents, classes):
        c = torch.zeros([len(latents), G.c_dim])
        if labelled and G.c_dim:
            c[torch.arange(len(latents)), classes % G.c_dim] = 1
        pictures = G(latents.to(device), c.to(device), noise_mode='const', force_fp32=True)
        return interpolate(pictures.float().clamp(-1, 1), (size, size), mode='area')

    total = 0.
    first.to(device)
    for latents, classes in zip(z.split(4), torch.arange(PICTURES).split(4)):
        one, other = draw(first, latents, classes), draw(second, latents, classes)
        if one.shape[1] != other.shape[1]:
            one, other = (each[:, :3].mean(dim=1) for each in (one, other))
        total += float((one - other).square().mean()) * len(latents) / PICTURES
    first.to(home)
    return math.sqrt(total)


# ----- what is said -----------------------------------------------------------------------------------------


def table(outcomes: dict[str, Outcome]) -> list[str]:
    """A row for each part of each network: how many tensors were copied, resized, are new, were left."""
    kinds = [field.name for field in dataclasses.fields(Outcome)]
    lines = [f'{"":4}{"":10}' + ''.join(f'{kind:>9}' for kind in kinds)]
    for network, outcome in outcomes.items():
        parts = {}
        for kind in kinds:
            for name in getattr(outcome, kind):
                part, leaf = _part(name)
                parts.setdefault(part, {each: [] for each in kinds})[kind].append(leaf)
        for part, found in sorted(parts.items(), key=lambda item: _level(item[0])):
            counts = ''.join(f'{len(found[kind]) or "-":>9}' for kind in kinds)
            lines.append(f'{network:4}{part:10}{counts}  {_details(found)}'.rstrip())
    return lines


def _details(found: dict[str, list[str]]) -> str:
    """The names in a row of the table, where it is not all of one kind."""
    if sum(map(bool, found.values())) == 1:
        return ''
    both = [name for name in found['new'] if name in found['left']]
    named = {'resized': found['resized'], 'other shape': both,
             **{kind: [name for name in found[kind] if name not in both] for kind in ('new', 'left')}}
    return '; '.join(f'{kind} {_listed(names)}' for kind, names in named.items() if names)


def _part(name: str) -> tuple[str, str]:
    """`synthesis.b8.conv0.weight` → b8, conv0.weight."""
    part, _, leaf = name.removeprefix('synthesis.').partition('.')
    return part, leaf


def _level(part: str) -> int:
    return int(part[1:]) if part[1:].isdigit() else 0


def _listed(names: list[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ', '.join(names[:NAMES_SHOWN]) + (f' and {more} more' if more > 0 else '')


def _describe(G: torch.nn.Module) -> str:
    labels = f', {G.c_dim} labels' if G.c_dim else ''
    return f'{G.img_resolution}x{G.img_resolution}, {G.img_channels} channels{labels}, pe {G.synthesis.pe}'


def _hints(theirs: torch.nn.Module, ours: torch.nn.Module) -> list[str]:
    """The options with which more would have been copied."""
    wishes = []
    if theirs.mapping.num_layers != ours.mapping.num_layers:
        wishes.append(f'--map-depth={theirs.mapping.num_layers}')
    for option, name, default in (('cbase', 'channel_base', 32768), ('cmax', 'channel_max', 512)):
        before, after = (G.init_kwargs.get('synthesis_kwargs', {}).get(name, default) for G in (theirs, ours))
        if before != after:
            wishes.append(f'--{option}={before}')
    return [f'More of it would fit with {" ".join(wishes)}.'] if wishes else []
