"""What changes while it is saved is saved once more."""

import pickle
import threading
from collections import OrderedDict, deque

import pytest

from infra.sandbox import snapshots


class Changing:
    """Lets another thread change the container around it, at the moment when it is pickled."""

    def __init__(self, change):
        self.change = change

    def __reduce__(self):
        if change := self.__dict__.pop("change", None):
            other = threading.Thread(target=change)
            other.start()
            other.join()
        return str, ()


@pytest.mark.parametrize("kind", [OrderedDict, dict, deque])
def test_a_container_that_changes_meanwhile_is_saved(kind):
    if kind is deque:
        held = deque([1, 2, 3])
        held.appendleft(Changing(lambda: held.append(4)))
    else:
        held = kind(b=1, c=2)
        held["a"] = Changing(lambda: held.update(d=4))
        held["e"] = 5

    saved = pickle.loads(snapshots._dump({"service": held}))

    assert len(saved["service"]) == 5
