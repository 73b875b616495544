"""Moto's memory on disk: every backend of every service but S3 in one pickle, written atomically.

One pickle for all services, because a CloudFormation stack holds the very objects of EC2, ELBv2
and so on. Metric points are not kept; log events are, but they alone cause no save, so the last of
them may be lost by a SIGKILL.
"""

import io
import pickle
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
from moto.backends import get_backend
from moto.cloudwatch.models import CloudWatchBackend
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.ec2.models import EC2Backend
from moto.s3.models import FakeBucket, S3Backend, s3_backends

from infra.sandbox.calls import Environ, Start, Wsgi
from infra.sandbox.world import ACCOUNT, World, tell, write_atomically

_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_TRIES = 20
_CHANGED = re.compile("changed size|keys changed|mutated")  # during iteration
Memory = dict[str, dict[str, dict[str, Any]]]


class _Writer(cloudpickle.Pickler):
    """Leaves out what lives elsewhere (S3, moto's registries, locks, Amazon's own images)."""

    def reducer_override(self, thing: Any) -> Any:
        match thing:
            case FakeBucket():
                return _bucket, (thing.account_id, thing.partition, thing.name)
            case S3Backend():
                return _s3, (thing.account_id, thing.partition)
            case AccountSpecificBackend():
                return _account, (thing.service_name, thing.account_id)
            case BackendDict():
                return get_backend, (thing.service_name,)
            case EC2Backend():
                return _bare, (type(thing),), _own_images(thing), None, None, _set_ec2
            case CloudWatchBackend():
                kept = {**thing.__dict__, "metric_data": []}
                return _bare, (type(thing),), kept
            case defaultdict() if type(thing) is not defaultdict:
                state = (thing.__dict__, thing.default_factory, dict(thing))
                return _bare, (type(thing),), state, None, None, _set_default
            case threading.Event():
                return threading.Event, ()
        if isinstance(thing, _LOCKS):
            return threading.RLock if "RLock" in type(thing).__name__ else threading.Lock, ()
        return super().reducer_override(thing)


def _bucket(account: str, partition: str, name: str) -> Any:
    return s3_backends[account][partition].buckets.get(name)


def _s3(account: str, partition: str) -> Any:
    return s3_backends[account][partition]


def _account(service: str, account: str) -> Any:
    return get_backend(service)[account]


def _bare(kind: Any) -> Any:
    return kind.__new__(kind)


def _own_images(backend: Any) -> dict[str, Any]:
    """EC2 without the 1,300 images of Amazon that moto loads at every start."""
    images = {i: image for i, image in backend.amis.items() if image.owner_id == ACCOUNT}
    owned = {i: copy for i, copy in backend.snapshots.items() if copy.from_ami in (None, *images)}
    return {**backend.__dict__, "amis": images, "snapshots": owned}


def _set_ec2(backend: Any, state: dict[str, Any]) -> None:
    fresh = EC2Backend(state["region_name"], state["account_id"])
    backend.__dict__.update(state)
    for image in fresh.amis.values():
        image.ec2_backend = backend
    backend.amis = {**fresh.amis, **state["amis"]}
    backend.snapshots = {**fresh.snapshots, **state["snapshots"]}


def _set_default(thing: Any, state: tuple[dict[str, Any], Any, dict[Any, Any]]) -> None:
    attributes, thing.default_factory, items = state
    thing.__dict__.update(attributes)
    for key, value in items.items():
        dict.__setitem__(thing, key, value)


class Snapshots:
    """Saves when asked; requests that wait at the same time share one save."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._asked = 0
        self._done = 0
        self._lock = threading.Lock()
        self._counting = threading.Lock()

    def save(self) -> None:
        """Everything that was true when this was called is on disk when it returns."""
        with self._counting:
            self._asked += 1
            mine = self._asked
        with self._lock:
            if self._done >= mine:
                return
            covered = self._asked
            write_atomically(self.path, _dump(_memory()))
            self._done = covered

    def load(self) -> None:
        if not self.path.exists():
            return
        # The sandbox's own file, below its own folder.
        memory: Memory = pickle.loads(self.path.read_bytes())  # nosec B301
        for service, accounts in memory.items():
            for account, regions in accounts.items():
                for region, backend in regions.items():
                    get_backend(service)[account][region] = backend


class Saved:
    """WSGI: a call that changes state is on disk before it is answered."""

    def __init__(self, aws: Wsgi, world: World) -> None:
        self.aws = aws
        self.world = world

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        answer = self.aws(environ, start)
        call = environ["sandbox.call"]
        if call.service != "s3" and call.changes_state:
            self.world.changed()
        return answer


def _memory() -> Memory:
    memory: Memory = {}
    for service in list(BackendDict._instances):
        if service.service_name not in ("s3", "moto_api"):
            accounts = {account: dict(regions) for account, regions in list(service.items())}
            memory[service.service_name] = accounts
    return memory


def _dump(memory: Memory) -> bytes:
    """The pickle; another thread may change a dictionary meanwhile, then once more."""
    for left in reversed(range(_TRIES)):
        out = io.BytesIO()
        try:
            _Writer(out, protocol=5).dump(memory)
            return out.getvalue()
        except RuntimeError as problem:
            if not _CHANGED.search(str(problem)) or not left:
                raise
            time.sleep(0.01)
        except (TypeError, pickle.PicklingError, AttributeError) as problem:
            memory = {name: kept for name, kept in memory.items() if _can_be_saved(name, kept)}
            tell(f"not everything can be saved: {problem}")
    raise RuntimeError("the sandbox's state can not be saved")


def _can_be_saved(service: str, backends: Any) -> bool:
    try:
        _Writer(io.BytesIO(), protocol=5).dump(backends)
    except Exception as problem:  # any failure means the same: this service is left out, loudly
        tell(f"{service} is not saved: {problem}")
        return False
    return True
