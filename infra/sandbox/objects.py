"""S3 as the data plane sees it: folders down, folders up, without HTTP and without faults."""

import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.sandbox.storage import Store, alone, backend
from infra.sandbox.world import World


class NoObjects(Exception):
    """Nothing lies under an S3 URI."""


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key or prefix."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def keys_under(uri: str) -> list[str]:
    """The keys that begin with the URI's prefix, in order; folder markers left out."""
    bucket, prefix = split_uri(uri)
    with alone:
        held = backend().buckets.get(bucket)
        live = [] if held is None else [k for k, v in held.keys.items() if _is_object(v)]
    found = sorted(key for key in live if key.startswith(prefix) and not key.endswith("/"))
    if not found:
        raise NoObjects(f'No S3 objects found under S3 URL "{uri}" given in input data source.')
    return found


def read(bucket: str, key: str) -> bytes:
    with alone:
        content: bytes = backend().buckets[bucket].keys[key].value
    return content


def download(uri: str, folder: Path, shard: int = 0, shards: int = 1) -> None:
    """What lies under the prefix, into the folder, by SageMaker's rules for names."""
    bucket, prefix = split_uri(uri)
    folder.mkdir(parents=True, exist_ok=True)
    for key in keys_under(uri)[shard::shards]:
        rest = key[len(prefix) :]
        inside = prefix.endswith("/") or rest.startswith("/") or not prefix
        name = rest.lstrip("/") if inside else key[prefix.rfind("/") + 1 :]
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise NoObjects(f"key {key!r} of {uri} leads out of its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read(bucket, key))


def upload(world: World, content: bytes, uri: str) -> None:
    """Put one object; it is on disk when this returns."""
    bucket, key = split_uri(uri)
    if bucket not in backend().buckets:
        raise NoObjects(f"The bucket {bucket} of {uri} does not exist.")
    with alone:
        backend().put_object(bucket, key, content)
        Store(world.state / "s3").flush()


def upload_folder(
    world: World, folder: Path, uri: str, known: dict[str, float], settled: float
) -> None:
    """Put every file written before `settled` that is new or changed since `known`."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        try:
            changed, content = path.stat().st_mtime, path.read_bytes()
        except FileNotFoundError:  # a writer renames a temporary file to its name
            continue
        if known.get(name) != changed <= settled:
            upload(world, content, f"{uri.rstrip('/')}/{name}")
            known[name] = changed


def pack(folders: Iterable[Path], target: Path) -> None:
    """A tar.gz of all folders' contents laid over each other; the first folder wins."""
    members: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            members.setdefault(path.relative_to(folder).as_posix(), path)
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        for name, path in members.items():
            archive.add(path, arcname=name, recursive=False)


def unpack(content: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(content) as archive:
        archive.extractall(folder, filter="data")


def _is_object(version: Any) -> bool:
    return hasattr(version, "_value_buffer")
