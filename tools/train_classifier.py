"""Trains the digit classifier on MNIST and says how good it is on the test digits."""

import pathlib
import sys

import click

if not __package__:     # started as `python tools/train_classifier.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli  # noqa: E402

TEST = ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte')


@click.command(context_settings=cli.SETTINGS)
@click.option('--data', metavar='DIR', required=True, help='Folder of the four original MNIST files')
@click.option('--dest', metavar='FILE', default='digit-classifier.safetensors', show_default=True,
              help='Where the weights go')
@click.option('--epochs', type=click.IntRange(min=1), default=12, show_default=True)
@click.option('--seed', type=click.IntRange(0, 2 ** 32 - 1), default=0, show_default=True)
def main(data, dest, epochs, seed):
    """Trains the digit classifier on MNIST, in a few minutes of one core.

    \b
    python tools/train_classifier.py --data=mnist/
    """
    from stylegan2_mspe import classifier_training, idx
    from stylegan2_mspe.classifier import save_classifier

    pictures, classes = idx.read_mnist(data)
    test = idx.read_mnist(data, *TEST)
    for name, found in (('training', pictures), ('test', test[0])):
        if found.shape[1:] != (28, 28):
            raise ValueError(f'--data {data}: found {name} digits of {found.shape[1]}x{found.shape[2]}, '
                             'expected 28x28')
    trained = classifier_training.train(pictures, classes, epochs=epochs, seed=seed,
                                        progress=lambda loop, count: cli.progress(loop, count, 'steps'))
    right, sure = classifier_training.accuracy(trained, *test, seed=seed)
    card = dict(data=f'MNIST, {len(pictures)} training digits', epochs=str(epochs), seed=str(seed),
                accuracy=f'{right:.4f} of {len(test[0])} test digits')
    save_classifier(dest, trained, card)
    print(f'{right:.2%} of the {len(test[0])} test digits are given their class; '
          f'{sure:.1%} with a confidence above 0.9.')
    print(f'Written: {dest}')


if __name__ == '__main__':
    cli.run(main)
