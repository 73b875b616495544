"""Where rows come from: a folder, S3 or a web server, brought to local files."""

import gzip
import zlib
from collections.abc import Iterator
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
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """The files of a source on this machine; `jsonl`: in the hub's shape, not the classifier's."""

    train: Path
    test: Path | None
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
    """A file, or the files in a folder that the patterns name."""
    path = Path(source).expanduser()
    if path.is_file():
        return LocalFiles(path, None)
    if not path.is_dir():
        raise NotFound(
            f"{path.resolve()}: no such file or folder; pass source= a local folder that holds"
            f" {train!r}, s3://BUCKET/PREFIX, http(s)://FILE, hub://ID or sample://NAME"
        )
    there = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
    missing = f"{path}: holds no file {{}}; there are {', '.join(there[:10]) or 'none'}"
    chosen_train, chosen_test, jsonl = _pick(str(path), there, train, test, missing)
    return LocalFiles(path / chosen_train, path / chosen_test if chosen_test else None, jsonl)


def from_s3(client: "S3Client", source: str, train: str, test: str, folder: Path) -> LocalFiles:
    """An object, or the objects below a prefix that the patterns name, brought to `folder`."""
    parts = urlsplit(source)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    prefix = f"{key.rstrip('/')}/" if key else ""
    keys = _keys(client, bucket, key.rstrip("/"))
    if key in keys:
        return LocalFiles(_download(client, bucket, key, folder), None)
    there = sorted(found[len(prefix) :] for found in keys if found.startswith(prefix))
    missing = (
        f"{source}: the data set is not in S3 yet: no object {{}} below s3://{bucket}/{prefix};"
        f" upload it first with `aws s3 cp FILE s3://{bucket}/{prefix}`"
    )
    chosen_train, chosen_test, jsonl = _pick(source, there, train, test, missing)
    return LocalFiles(
        _download(client, bucket, prefix + chosen_train, folder),
        _download(client, bucket, prefix + chosen_test, folder) if chosen_test else None,
        jsonl,
    )


def from_web(source: str, folder: Path) -> LocalFiles:
    """One file from a web server; a 5xx answer or a lost connection raises httpx.HTTPError."""
    path = folder / (Path(urlsplit(source).path).name or "data")
    with httpx.stream("GET", source, timeout=30, follow_redirects=True) as answer:
        if 400 <= answer.status_code < 500:
            raise NotFound(f"{source}: the server answered {answer.status_code}; check the address")
        answer.raise_for_status()
        with path.open("wb") as written:
            for chunk in answer.iter_raw():
                written.write(chunk)
    return LocalFiles(path, None)


def _keys(client: "S3Client", bucket: str, prefix: str) -> set[str]:
    try:
        pages = list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
    except client.exceptions.NoSuchBucket as error:
        raise NotFound(f"s3://{bucket}: no such bucket") from error
    return {found["Key"] for page in pages for found in page.get("Contents", [])}


def _download(client: "S3Client", bucket: str, key: str, folder: Path) -> Path:
    path = folder / Path(key).name
    client.download_file(bucket, key, str(path))
    return path


def _pick(
    source: str, there: list[str], train: str, test: str, missing: str
) -> tuple[str, str | None, bool]:
    """The train file, the test file and whether they are the uploader's JSON lines."""
    for own, (of_train, of_test) in ((True, (train, test)), (False, JSONL)):
        if found := _only(source, there, of_train):
            return found, _only(source, there, of_test), not own
    raise NotFound(missing.format(f"{train!r} or {JSONL[0]!r}"))


def _only(source: str, there: list[str], pattern: str) -> str | None:
    found = [name for name in there if fnmatchcase(name, pattern)]
    if len(found) > 1:
        raise BadData(source, None, "ambiguous", f"{pattern!r} names {', '.join(found)}; leave one")
    return found[0] if found else None
