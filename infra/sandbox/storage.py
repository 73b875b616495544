"""S3 on disk: an object is in the state folder before the request that made it is answered.

One folder per key, `s3/{bucket}/{sha256 of the key}/`, holds `versions` (moto's objects, pickled
without their bytes) and one file of bytes per version. Bytes are read from there when asked for.
Unfinished multipart uploads are not kept.
"""

import hashlib
import pickle
import shutil
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from moto.s3 import models
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends
from moto.s3.utils import _VersionedKeyStore

from infra.sandbox.calls import Environ, Start, Wsgi, buffered
from infra.sandbox.world import ACCOUNT, World, write_atomically

_touched = threading.local()
# Moto reads a version that another thread replaces meanwhile from a file that is gone.
alone = threading.RLock()


def backend() -> S3Backend:
    return s3_backends[ACCOUNT]["aws"]


class StoredValue:
    """The bytes of one version as a file; looks like the temporary file that moto uses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0

    def seek(self, position: int) -> None:
        self.position = position

    def read(self, size: int = -1) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.position)
            content = file.read(size)
        self.position += len(content)
        return content

    def close(self) -> None: ...


class Keys(_VersionedKeyStore):
    """A bucket's keys; remembers which ones this thread touched."""

    def __init__(self, bucket: str) -> None:
        super().__init__()
        self.bucket = bucket

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        touch(self.bucket, key)

    def setlist(self, key: Any, list_: Any) -> None:
        super().setlist(key, list_)
        touch(self.bucket, key)

    def pop(self, key: str) -> None:
        super().pop(key)
        touch(self.bucket, key)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        touch(self.bucket, key)


def touch(bucket: str, key: str) -> None:
    _touched.__dict__.setdefault("keys", set()).add((bucket, key))


class Store:
    """The folder `s3` of the state."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def flush(self) -> None:
        """Write what this thread touched."""
        keys: set[tuple[str, str]] = _touched.__dict__.pop("keys", set())
        with alone:
            for bucket, key in keys:
                self._write(bucket, key)

    def write_buckets(self) -> None:
        """Write all buckets without their objects, and the tags; forget deleted buckets."""
        with alone:
            bare = [_without_objects(bucket) for bucket in list(backend().buckets.values())]
            content = pickle.dumps((bare, backend().tagger))
            write_atomically(self.root / "buckets", content)
            for folder in self.root.iterdir():
                if folder.is_dir() and folder.name not in backend().buckets:
                    shutil.rmtree(folder)

    def load(self) -> None:
        """Put buckets and objects back into moto; bytes stay on disk."""
        if not (self.root / "buckets").exists():
            return
        # The sandbox's own files, below its own folder.
        bare, backend().tagger = pickle.loads((self.root / "buckets").read_bytes())  # nosec B301
        for bucket in bare:
            bucket.keys = Keys(bucket.name)
            bucket.multiparts = models.MultipartDict()
            backend().buckets[bucket.name] = bucket
            s3_backends.bucket_accounts[bucket.name] = (bucket.partition, bucket.account_id)
            for path in sorted((self.root / bucket.name).glob("*/versions")):
                key, versions = pickle.loads(path.read_bytes())  # nosec B301
                for version in versions:
                    value = _key_of(version)._value_buffer
                    value.path = path.parent / value.path.name
                bucket.keys.setlist(key, versions)
        _touched.__dict__.clear()

    def _write(self, bucket: str, key: str) -> None:
        folder = self.root / bucket / hashlib.sha256(key.encode()).hexdigest()
        held = backend().buckets.get(bucket)
        versions = held.keys.getlist(key) if held else None
        if not versions:
            shutil.rmtree(folder, ignore_errors=True)
            return
        folder.mkdir(parents=True, exist_ok=True)
        kept = {self._write_value(folder, version) for version in versions}
        write_atomically(folder / "versions", pickle.dumps((key, list(versions))))
        for path in folder.iterdir():
            if path.suffix == ".value" and path not in kept:
                path.unlink(missing_ok=True)

    def _write_value(self, folder: Path, version: Any) -> Path:
        key = _key_of(version)
        if not isinstance(key._value_buffer, StoredValue):
            path = folder / f"{uuid.uuid4().hex}.value"
            path.write_bytes(b"" if key.disposed else key.value)
            with key.lock:
                key._value_buffer, old = StoredValue(path), key._value_buffer
                old.close()
            if key.multipart:
                key.multipart.dispose()
                key.multipart = None
        stored: Path = key._value_buffer.path
        return stored


class Durable:
    """WSGI: one S3 request at a time; flush what it wrote."""

    def __init__(self, aws: Wsgi, store: Store) -> None:
        self.aws = aws
        self.store = store

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["sandbox.call"].service != "s3":
            return self.aws(environ, start)
        buffered(environ)  # a slow sender keeps nobody waiting
        with alone:
            if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
                return self.aws(environ, start)
            return self._write(environ, start)

    def _write(self, environ: Environ, start: Start) -> Iterable[bytes]:
        answer = self.aws(environ, start)
        bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
        asked = environ.get("QUERY_STRING", "")
        if key and asked and "uploadId" not in asked and "uploads" not in asked:
            touch(bucket, key)  # tags, locks and access lists change a key in place
        if not key or "tagging" in asked or "HTTP_X_AMZ_TAGGING" in environ:
            self.store.write_buckets()
        self.store.flush()
        return answer


def install(world: World) -> None:
    """Make moto's S3 durable and load what is there."""
    made = FakeBucket.__init__

    def make(self: Any, name: str, *args: Any, **kwargs: Any) -> None:
        made(self, name, *args, **kwargs)
        self.keys = Keys(name)

    FakeBucket.__init__ = make
    FakeKey.__getstate__ = _key_state
    FakeKey.__setstate__ = _set_key_state
    store(world).load()


def store(world: World) -> Store:
    return Store(world.state / "s3")


def _key_of(version: Any) -> Any:
    """A delete marker holds the key that it hides."""
    return version if isinstance(version, FakeKey) else version.key


def _key_state(self: Any) -> dict[str, Any]:
    left_out = ("_value_buffer", "lock", "multipart")
    state = {name: value for name, value in self.__dict__.items() if name not in left_out}
    return state | {"stored": self._value_buffer.path.name}


def _set_key_state(self: Any, state: dict[str, Any]) -> None:
    self._value_buffer = StoredValue(Path(state.pop("stored")))
    self.__dict__.update(state)
    self.multipart = None
    self.lock = threading.Lock()


def _without_objects(bucket: Any) -> Any:
    bare = FakeBucket.__new__(FakeBucket)
    bare.__dict__.update({**bucket.__dict__, "keys": None, "multiparts": None})
    return bare
