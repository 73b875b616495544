"""Where rows come from: a folder, S3 or a web server, brought to local files."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from tasks.errors import BadData, NotFound

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What a news uploader leaves in S3 whatever the classifier's own files look like.
JSONL = ("train.jsonl*", "test.jsonl*")
# Seconds without a byte, not for the whole file.
TIMEOUT_S = 30
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """The files of a source below a folder of this machine, in the order they are read in.

    `jsonl`: they are in the hub's shape, not the classifier's.
    """

    folder: Path
    train: tuple[str, ...]
    test: tuple[str, ...] = ()
    jsonl: bool = False


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a plain or gzipped file, cut at LF only."""
    with path.open("rb") as opened:
        packed = opened.read(2) == _GZIP
        opened.seek(0)
        if not packed:
            yield from opened
            return
        try:
            with gzip.GzipFile(fileobj=opened) as unpacked:
                yield from unpacked
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadData(path.name, None, "bad_gzip", f"{error}; copy the file again") from error


def from_local(source: str, train: str, test: str) -> LocalFiles:
    """A file, or all files in a folder that the patterns name."""
    path = Path(source).expanduser()
    if path.is_file():
        return LocalFiles(path.parent, (path.name,))
    if not path.is_dir():
        raise NotFound(
            f"{path.resolve()}: no such file or folder; pass source= a local folder that holds"
            f" {train!r}, s3://BUCKET/PREFIX, http(s)://FILE, hub://ID or sample://NAME"
        )
    there = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    missing = f"{path}: holds no file {{}}; there are {', '.join(there[:10]) or 'none'}"
    return _picked(path, there, train, test, missing)


def from_s3(client: "S3Client", source: str, train: str, test: str, folder: Path) -> LocalFiles:
    """An object, or all objects below a prefix that the patterns name, brought to `folder`."""
    parts = urlsplit(source)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    prefix = f"{key.rstrip('/')}/" if key else ""
    keys = _keys(client, bucket, key.rstrip("/"))
    if key in keys and not key.endswith("/"):
        prefix = key[: -len(Path(key).name)]
        found = LocalFiles(folder, (Path(key).name,))
    else:
        names = (one[len(prefix) :] for one in keys if one.startswith(prefix))
        # An object whose key ends in a slash is what consoles show as a folder.
        there = sorted(name for name in names if name and not name.endswith("/"))
        missing = (
            f"{source}: the data set is not in S3 yet: no object {{}} below s3://{bucket}/{prefix};"
            f" upload it first with `aws s3 cp FILE s3://{bucket}/{prefix}`"
        )
        found = _picked(folder, there, train, test, missing)
    for name in (*found.train, *found.test):
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BadData(f"s3://{bucket}/{prefix}{name}", None, "bad_name", "`..` in a key")
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, prefix + name, str(path))
    return found


def from_web(source: str, folder: Path) -> LocalFiles:
    """One file from a web server; what may pass raises httpx.HTTPError with the address."""
    name = Path(urlsplit(source).path).name.strip(".") or "data"
    # As the file lies there: packing on the way would hide a torn file's true length.
    headers = {"Accept-Encoding": "identity"}
    try:
        with httpx.stream(
            "GET", source, timeout=TIMEOUT_S, follow_redirects=True, headers=headers
        ) as answer:
            if 400 <= answer.status_code < 500:
                told = f"the server answered {answer.status_code}; check the address"
                raise NotFound(f"{source}: {told}")
            answer.raise_for_status()
            with (folder / name).open("wb") as written:
                for chunk in answer.iter_raw():
                    written.write(chunk)
    except httpx.TransportError as error:
        raise type(error)(f"{source}: {error}") from error
    return LocalFiles(folder, (name,))


def _keys(client: "S3Client", bucket: str, prefix: str) -> set[str]:
    try:
        pages = list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
    except client.exceptions.NoSuchBucket as error:
        raise NotFound(f"s3://{bucket}: no such bucket") from error
    return {found["Key"] for page in pages for found in page.get("Contents", [])}


def _picked(folder: Path, there: Sequence[str], train: str, test: str, missing: str) -> LocalFiles:
    """All files of each split, of the classifier's own pattern or of the uploader's."""
    for jsonl, (of_train, of_test) in ((False, (train, test)), (True, JSONL)):
        held_out = tuple(name for name in there if fnmatchcase(name, of_test))
        rest = (name for name in there if name not in held_out)
        if found := tuple(name for name in rest if fnmatchcase(name, of_train)):
            return LocalFiles(folder, found, held_out, jsonl)
    raise NotFound(missing.format(f"{train!r} or {JSONL[0]!r}"))
