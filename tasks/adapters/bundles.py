"""Model bundles in S3: proved member by member before anything loads them, without torch."""

import gzip
import hashlib
import json
import tarfile
import zlib
from itertools import islice
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationError

from tasks.errors import BadInput
from training.formats import BundleManifest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MANIFEST = "manifest.json"
_MANIFEST_LIMIT = 4 * 2**20
_CHUNK = 2**20


def verify(s3: "S3Client", uri: str, digest: str) -> BundleManifest:
    """Prove that model.tar.gz at `uri` is exactly the bundle `digest`, and say what it is.

    Streams; nothing is unpacked. BadInput names the member that is wrong.
    """
    bucket, key = _place(uri)
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    hashes: dict[str, str] = {}
    manifest = b""
    try:
        with tarfile.open(fileobj=body, mode="r|gz") as tar:
            for member in tar:
                name = _name(uri, member)
                if name is None:
                    continue
                if name in hashes:
                    raise BadInput(f"{uri}: member {name} is there twice")
                content = tar.extractfile(member)
                assert content is not None  # _name refuses everything but files
                if name == _MANIFEST:
                    manifest = content.read(_MANIFEST_LIMIT)
                    hashes[name] = hashlib.sha256(manifest).hexdigest()
                else:
                    hashes[name] = _sha256(content)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{uri}: not a whole tar.gz: {error}") from error
    return _compared(uri, digest, manifest, hashes)


def golden(s3: "S3Client", uri: str, count: int) -> tuple[tuple[str, str], ...]:
    """The first rows of the test split of the snapshot at `uri`, as (text, label)."""
    bucket, key = _place(f"{uri.rstrip('/')}/test.jsonl.gz")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    with gzip.open(body, "rb") as lines:
        rows = [json.loads(line) for line in islice(lines, count)]
    return tuple((row["text"], row["label"]) for row in rows)


def _compared(uri: str, digest: str, manifest: bytes, hashes: dict[str, str]) -> BundleManifest:
    if not manifest:
        raise BadInput(f"{uri}: {_MANIFEST} is missing")
    try:
        told = BundleManifest.model_validate_json(manifest)
    except ValidationError as error:
        raise BadInput(f"{uri}: {_MANIFEST} cannot be read: {error}") from error
    if hashes.pop(_MANIFEST) != digest or told.digest != digest:
        raise BadInput(f"{uri}: is bundle {told.digest[:12]}, the registered one is {digest[:12]}")
    for name, wanted in told.files.items():
        if name not in hashes:
            raise BadInput(f"{uri}: {name} is in the manifest and not in the archive")
        if hashes[name] != wanted:
            raise BadInput(
                f"{uri}: {name} has SHA-256 {hashes[name][:12]}, the manifest says {wanted[:12]}"
            )
    if unlisted := sorted(set(hashes) - set(told.files)):
        raise BadInput(f"{uri}: {', '.join(unlisted)} not in the manifest")
    return told


def _name(uri: str, member: tarfile.TarInfo) -> str | None:
    """The plain file name of a member, None for the folder itself; everything else is refused."""
    path = PurePosixPath(member.name)
    if member.isdir() and path == PurePosixPath("."):
        return None
    if not member.isreg() or len(path.parts) != 1 or path.name in {"", ".."}:
        raise BadInput(f"{uri}: member {member.name!r} is not a plain file of the bundle")
    return path.name


def _sha256(content: IO[bytes]) -> str:
    found = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        found.update(chunk)
    return found.hexdigest()


def _place(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    if parts.scheme != "s3":
        raise BadInput(f"{uri}: not an s3:// address")
    return parts.netloc, parts.path.lstrip("/")
