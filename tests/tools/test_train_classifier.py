"""The program that trains the classifier, on a few drawn digits in MNIST's format."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner

from stylegan2_mspe import classifier, digits
from tools import cli, train_classifier


def write_mnist(folder, count=40, side=28):
    random = np.random.RandomState(0)
    classes = np.arange(count) % 10
    pictures = np.stack([digits.handwritten_digit(label, random) for label in classes])[:, :side, :side]
    sizes = np.array(pictures.shape, '>u4').tobytes()
    for part in ('train', 't10k'):
        (folder / f'{part}-images-idx3-ubyte').write_bytes(bytes([0, 0, 8, 3]) + sizes + pictures.tobytes())
        (folder / f'{part}-labels-idx1-ubyte').write_bytes(
            bytes([0, 0, 8, 1]) + sizes[:4] + classes.astype(np.uint8).tobytes())
    return str(folder)


def test_it_trains_and_writes_a_classifier(tmp_path):
    dest = tmp_path / 'c.safetensors'
    command = [f'--data={write_mnist(tmp_path)}', f'--dest={dest}', '--epochs=1']
    result = CliRunner().invoke(train_classifier.main, command, catch_exceptions=False)
    assert result.exit_code == 0 and 'of the 40 test digits are given their class' in result.output
    assert classifier.load_classifier(dest).classes.weight.std() > 0


@pytest.mark.parametrize('side, sentence', [
    (None, 'found no such folder as train-images-idx3-ubyte.gz'),
    (26, 'found training digits of 26x26, expected 28x28'),
])
def test_bad_data_is_one_sentence(side, sentence, tmp_path, monkeypatch, capsys):
    data = str(tmp_path / 'none') if side is None else write_mnist(tmp_path, side=side)
    monkeypatch.setattr(sys, 'argv', ['train_classifier', f'--data={data}', f'--dest={tmp_path}/c'])
    with pytest.raises(SystemExit) as exit_:
        cli.run(train_classifier.main)
    assert exit_.value.code == 1 and sentence in capsys.readouterr().err
    assert not (tmp_path / 'c').exists()
