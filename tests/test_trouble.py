"""What goes wrong in a run is told once, with the tick it began in, and never overwrites what was good."""

import json

import pytest
import torch

from stylegan2_mspe import checkpoint, run_folder, training_loop, training_parts
from stylegan2_mspe.legacy import load_network_pkl
from stylegan2_mspe.tick_end import Stopped
from stylegan2_mspe.trouble import COLLAPSED, Trouble
from tests import tiny

NAN = float('nan')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


# ----- what is noticed --------------------------------------------------------------------------------------


def close(trouble, tick, loss=1., weight=1., variety=None):
    tensors = {'the weights of G': [torch.tensor([1., weight])]}
    return trouble.close_tick(tick, {'Loss/G/loss': dict(mean=loss)}, tensors, variety)


def test_what_begins_is_told_once_and_again_when_it_begins_again():
    trouble = Trouble()
    assert close(trouble, 0) == []
    assert close(trouble, 1, loss=NAN) == ['NaN in Loss/G/loss (since tick 1)']
    assert close(trouble, 2, loss=NAN) == [] and trouble.since == {'NaN': 1}
    assert close(trouble, 3) == [] and trouble.since == {}
    said = close(trouble, 4, loss=float('inf'), weight=NAN)
    assert said == ['NaN in the weights of G, Loss/G/loss (since tick 4)']
    assert not trouble.finite


def test_gradients():
    trouble = Trouble()
    trouble.look_at_gradients('Gmain', [torch.ones(3), torch.tensor([1., NAN])])
    trouble.look_at_gradients('Dmain', [torch.ones(3), torch.tensor([float('inf')])])     # is cut, and passes
    trouble.look_at_gradients('Greg', [])
    assert close(trouble, 7) == ["NaN in Gmain's gradient (since tick 7)"]
    assert close(trouble, 8) == [] and trouble.since == {}


def test_collapse():
    trouble = Trouble()
    assert close(trouble, 0, variety=COLLAPSED) == []
    [sentence] = close(trouble, 5, variety=.2)
    assert sentence.startswith('the generator has collapsed') and sentence.endswith('0.35 (since tick 5)')
    assert close(trouble, 6) == [] and trouble.since == {'collapse': 5}     # nothing was drawn in this tick
    assert close(trouble, 10, variety=.9) == [] and trouble.since == {}


# ----- in a run ---------------------------------------------------------------------------------------------


def train(run_dir, config, harm=lambda training: None, state=None):
    """Trains; `harm` is called before each step. Returns (lines, sentence that ended it or None)."""
    said = []
    training = training_parts.build(config, state)
    step = training_loop.training_step

    def harmed(*args):
        harm(training)
        step(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_loop, 'training_step', harmed)
        try:
            training_loop.train(training, str(run_dir), say=said.append, grid=tiny.GRID)
        except Stopped as error:
            return said, str(error)
    return said, None


def break_weights(training):
    if training.progress.step == 5:
        training.models['G'].synthesis.b8.conv0.weight.fill_(NAN)


def test_weights_that_are_no_numbers_are_not_written(data, tmp_path):
    config = tiny.config(data, kimg=.06, snap=1)
    said, stopped = train(tmp_path, config, break_weights)
    assert stopped is None
    [warning] = [line for line in said if 'since' in line]
    assert warning.startswith('Warning: NaN in the weights of G') and warning.endswith('(since tick 2).')
    # The weights broke in the step after the fourth, which ended tick 1.
    state = checkpoint.newest_state(str(tmp_path))
    assert state['values']['progress']['tick'] == 2 and state['values']['trouble'] == {}
    G = load_network_pkl(tmp_path / 'network-snapshot-000000.pkl')['G_ema']
    assert all(bool(each.isfinite().all()) for each in G.parameters())
    assert sum('no state is written' in line for line in said) == len(tiny.stats_lines(tmp_path)) - 2
    said, stopped = train(tmp_path, config, state=state)
    assert not [line for line in said if 'Warning' in line] and stopped is None


@pytest.mark.parametrize('broken, since', [(False, "Dmain's gradient"), (True, 'the weights of G')])
def test_stopping(data, tmp_path, broken, since):
    config = tiny.config(data, kimg=.06, snap=100, stop_on_nan=True)

    def harm(training):
        if broken:
            break_weights(training)
        elif training.progress.step == 5:
            training.trouble.bad['Dmain'] = torch.tensor(1)

    said, stopped = train(tmp_path, config, harm)
    assert stopped.startswith('--stop-on-nan: NaN since tick 2, so the run ended at kimg 0.028')
    assert any(since in line for line in said)
    state = checkpoint.newest_state(str(tmp_path))
    assert state['values']['progress']['nimg'] == (4 if broken else 28)         # the last good one
    assert (tmp_path / 'network-snapshot-000000.pkl').exists()
    json_lines = [json.loads(line) for line in (tmp_path / run_folder.STATS).read_text().splitlines()]
    assert json_lines[-1]['Progress/tick']['mean'] == 2
    said, stopped = train(tmp_path, tiny.config(data, kimg=.06, snap=100), state=state)
    assert stopped is None and 'Warning' not in ''.join(said)
    assert checkpoint.newest_state(str(tmp_path))['values']['progress']['nimg'] == 60


def test_a_collapsed_generator_is_told(data, tmp_path):
    def collapse(training):
        for name in ('G', 'G_ema'):
            mapping = training.models[name].mapping
            mapping.fc1.weight.zero_()

    said, stopped = train(tmp_path, tiny.config(data, kimg=.048, stop_on_nan=True, lr=0.), collapse)
    assert stopped.startswith('--stop-on-nan: collapse since tick 0')
    assert 'has collapsed' in said[1]
    [line] = tiny.stats_lines(tmp_path)
    assert line['Progress/variety']['mean'] < .05 and line['Progress/variety']['num'] == 1
    state = checkpoint.newest_state(str(tmp_path))
    assert state['values']['trouble'] == {'collapse': 0}
    assert state['values']['progress']['nimg'] == 4
