"""What tests of several commands start from."""

import pytest

from tests.drawn import save


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """(path, generator): a network file, 16 pixels, 6 layers."""
    path = tmp_path_factory.mktemp('network') / 'a.pkl'
    return path, save(path)
