"""Converts network files between pickles, safetensors and rosinality-style .pt files."""

import os
import pathlib
import sys

import click

if not __package__:     # started as `python tools/convert.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli  # noqa: E402

SUFFIXES = ('.pkl', '.safetensors', '.pt')


@click.command(context_settings=cli.SETTINGS)
@click.option('--source', metavar='FILE', required=True, help='Network file or URL: .pkl, .safetensors, .pt')
@click.option('--dest', metavar='FILE', required=True, help='Network file to write: .pkl, .safetensors, .pt')
def main(source, dest):
    """Converts a network file; the endings of the names say from what to what.

    \b
    .pkl           StyleGAN2-ADA's network pickle, which this project reads and writes (TensorFlow's: reads)
    .safetensors   names, shapes and numbers, with what rebuilds the networks in the metadata
    .pt            rosinality/stylegan2-pytorch and the MS-PE authors' networks; written for baseline networks

    \b
    python tools/convert.py --source network-snapshot-001000.pkl --dest network.safetensors
    python tools/convert.py --source mspe_ffhq.pt --dest mspe_ffhq.pkl
    """
    kinds = [_kind(option, name) for option, name in (('--source', source), ('--dest', dest))]
    if os.path.isfile(source) and os.path.exists(dest) and os.path.samefile(source, dest):
        raise ValueError(f'--dest {dest}: found the source itself, expected another file')
    content = _load(kinds[0], source)
    _save(kinds[1], dest, content)
    if kinds[1] == '.pt':
        content['augment_pipe'] = None      # has no place there
    held = ', '.join(name for name in ('G', 'D', 'G_ema', 'augment_pipe') if content[name] is not None)
    click.echo(f'{dest}: {held}, {os.path.getsize(dest):,} bytes')


def _kind(option: str, name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in SUFFIXES:
        expected = ', '.join(SUFFIXES)
        raise ValueError(f'{option} {name}: found the ending {suffix!r}, expected one of {expected}')
    return suffix


def _load(kind: str, source: str) -> dict:
    if kind == '.safetensors':
        from stylegan2_mspe.network_safetensors import load_safetensors
        return load_safetensors(source)
    if kind == '.pt':
        from stylegan2_mspe.rosinality import load_rosinality
        return load_rosinality(source)
    from stylegan2_mspe.legacy import load_network_pkl
    return load_network_pkl(source)


def _save(kind: str, dest: str, content: dict) -> None:
    if kind == '.safetensors':
        from stylegan2_mspe.network_safetensors import save_safetensors
        save_safetensors(dest, content)
    elif kind == '.pt':
        from stylegan2_mspe.rosinality import save_rosinality
        save_rosinality(dest, content)
    else:
        from stylegan2_mspe.legacy import save_network_pkl
        save_network_pkl(dest, **content)


if __name__ == '__main__':
    cli.run(main)
