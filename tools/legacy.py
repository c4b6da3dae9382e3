"""Rewrites a network pickle, of TensorFlow's StyleGAN2 or of StyleGAN2-ADA-PyTorch, as one of ours."""

import click

from tools import cli


@click.command(context_settings=cli.SETTINGS)
@click.option('--source', metavar='FILE', required=True, help='Network pickle or URL to read')
@click.option('--dest', metavar='FILE', required=True, help='Network pickle to write')
@click.option('--force-fp16', type=bool, default=False, show_default=True,
              help='Compute the four finest levels in half precision (on CUDA)')
def main(source, dest, force_fp16):
    """Converts a TensorFlow or older network pickle.

    \b
    python legacy.py --source stylegan2-ffhq-config-f.pkl --dest stylegan2-ffhq-config-f-pytorch.pkl
    """
    from stylegan2_mspe.legacy import load_network_pkl, save_network_pkl

    content = load_network_pkl(source, force_fp16=force_fp16)
    save_network_pkl(dest, **content)
    held = ', '.join(name for name in ('G', 'D', 'G_ema', 'augment_pipe') if content[name] is not None)
    click.echo(f'{dest}: {held}')
