"""What an experiment has found: the files it becomes, and what is printed of it."""

import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Report(NamedTuple):
    """Of one experiment."""
    numbers: dict                       # for JSON
    pictures: Mapping                   # ending of the file's name -> Pillow's picture
    lines: Iterable[str]                # to print
    claims: Iterable = ()               # stylegan2_mspe.experiments.claims.Claim
    qualities: Mapping | None = None    # label -> stylegan2_mspe.quality.Quality of the network


def check_outdir(outdir: str) -> None:
    """Raises ValueError where results could not be written, before hours have been spent on them."""
    path = pathlib.Path(outdir).absolute()
    found = next(each for each in (path, *path.parents) if each.exists())
    if not found.is_dir() or not os.access(found, os.W_OK):
        raise ValueError(f'--outdir={outdir}: found {found}, which cannot be written to, expected a folder')


def write(name: str, outdir: str, asked: dict, report: Report) -> None:
    """Writes `name`.json, with what was asked for, and the pictures; prints what was found and what holds."""
    from stylegan2_mspe import images
    from stylegan2_mspe.files import atomic_write

    claims = list(report.claims)
    numbers = dict(experiment=name, claims=[claim._asdict() for claim in claims])
    numbers |= {**asked, **report.numbers}
    if report.qualities is not None:
        numbers['quality'] = {label: each.as_dict() for label, each in report.qualities.items()}
    os.makedirs(outdir, exist_ok=True)
    for ending, picture in report.pictures.items():
        images.save_png(picture, os.path.join(outdir, f'{name}{ending}.png'))
    with atomic_write(os.path.join(outdir, f'{name}.json'), 'w') as file:
        json.dump(numbers, file, indent=1, allow_nan=False)
    print('\n'.join([*report.lines, *(claim.sentence() for claim in claims)]))
    written = [f'{name}{ending}.png' for ending in report.pictures] + [f'{name}.json']
    print(f'Written: {", ".join(written)} in {outdir}')
