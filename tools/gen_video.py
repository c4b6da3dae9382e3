"""Makes a film: latents that turn into one another, content that moves over the canvas, or both."""

import os
import pathlib
import sys

import click

if not __package__:     # started as `python tools/gen_video.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli, drawing  # noqa: E402
from tools.option_types import SeedsType, ShiftType, SizeType, TextType  # noqa: E402

FRAMES = 60             # for each keyframe, or each stretch of the path
MAX_FRAMES = 100_000


class PathType(TextType):
    """'0,0 16,16 0,32@64x128': shifts K or DY,DX, with a canvas or not; gives pairs (shift, canvas)."""

    name = 'path'

    def parse(self, text):
        stops = []
        for stop in text.split():
            shift, has_box, box = stop.partition('@')
            stops.append((ShiftType().parse(shift), SizeType().parse(box) if has_box else None))
        if not stops:
            raise ValueError(f"found {text!r}, expected places such as '0,0 16,16 0,32'")
        return stops


@click.command(context_settings=cli.SETTINGS)
@drawing.options('network')
@click.option('--seeds', type=SeedsType(), help='Random seeds of the keyframes  [default: 0-3]')
@click.option('--projected-w', metavar='FILE',
              help='Latents of this .npz (key w) or .npy file as keyframes instead')
@drawing.options('trunc', 'class', 'noise-mode', 'noise-seed')
@click.option('--path', 'stops', type=PathType(), default='0', metavar='PLACES',
              help="Way of the content over the canvas, in pixels of the trained picture: shifts such as "
                   "'0,0 16,16 0,32', passed at an even pace; '@HxW' after one says how much of the world is "
                   'in sight there')
@drawing.options('canvas', 'size', 'wrap', 'border')
@click.option('--frames', type=click.IntRange(1, MAX_FRAMES),
              help=f'Length of the film  [default: {FRAMES} for each keyframe or stretch of the path]')
@click.option('--fps', type=click.FloatRange(1, 120), default=30, show_default=True, help='Frames a second')
@drawing.options('precision', 'device')
@click.option('--output', '--outfile', metavar='FILE',
              help='Film to write: .mp4 (needs imageio-ffmpeg), .gif, or a folder for numbered PNGs  '
                   '[default: ./out/video.mp4, or .gif without imageio-ffmpeg]')
def main(network, seeds, projected_w, psi, class_idx, noise_mode, noise_seed, stops, box, size, wrap, border,
         frames, fps, precision, device, output):
    """Makes a film. The latents of the keyframes follow one another along a smooth closed curve; the content
    moves along --path.

    \b
    python tools/gen_video.py --seeds=0-5                         # digits into digits, a loop
    python tools/gen_video.py --seeds=3 --path='0,0 0,64'         # once round to the right
    python tools/gen_video.py --seeds=3 --path='0 0@128x128' --size=256x256     # zooms out
    python tools/gen_video.py --seeds=3 --path='0,0 0,-512' --canvas=64x128 --no-wrap \\
        --border=plane --noise-mode=anchored                      # pans over a plane, noise and all
    """
    drawing.check_noise_seed(noise_mode)
    drawing.check_projected_w(projected_w, psi)
    cli.refuse_unused('--canvas', any(own_box is None for _, own_box in stops),
                      '@HxW after every place of --path', 'one of the two')
    from stylegan2_mspe import images, rendering, video
    from stylegan2_mspe.keyframes import Stop, looped_latents, travelled_canvases

    output = output or os.path.join('out', 'video.mp4' if video.find_ffmpeg() else 'video.gif')
    G, _ = drawing.open_network(network, device, precision)
    ws, _ = drawing.few_latents(G, seeds, projected_w, class_idx, psi)
    stops = [Stop(shift, own_box or box) for shift, own_box in stops]
    stretches = max(len(ws) if len(ws) > 1 else 0, len(stops) - 1)
    if not stretches and frames is None:
        raise ValueError('--seeds, --path: found a single keyframe and a single place, '
                         'expected several of either, or --frames')
    frames = frames or FRAMES * stretches

    shown = size or stops[0].box or (G.img_resolution, G.img_resolution)
    asked = f'--size={shown[0]}x{shown[1]}' if size else f'--canvas={shown[0]}x{shown[1]}'
    batch = rendering.batch_that_fits(G, shown, asked)
    ws = looped_latents(ws, frames)
    canvases = travelled_canvases(stops, frames, G.img_resolution, shown, wrap, border or G.synthesis.border)
    drawing.note_extrapolation(G, set(canvases))

    def draw():
        for start in range(0, frames, batch):
            part = slice(start, start + batch)
            yield from rendering.render(G, ws[part], canvases[part], noise_mode, noise_seed, border)

    with video.open_video(output, fps) as write:
        for picture in cli.progress(draw(), total=frames, label='Drawing'):
            write(images.to_pillow(picture))
    print(f'Wrote {frames} frames, {frames / fps:.3g} seconds, to {output}')


if __name__ == '__main__':
    cli.run(main)
