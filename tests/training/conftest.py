import pytest
import torch
from plugins.jobs import make_snapshot


@pytest.fixture
def snapshot(tmp_path):
    return make_snapshot(tmp_path / "snapshot")


@pytest.fixture(scope="session")
def base(tiny_bundle):
    """A base model that trains in no time."""
    return tiny_bundle(seed=3, spread=0.1)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Models this small only lose time when threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
