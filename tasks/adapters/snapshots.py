"""Data sets in S3 that never change, named by their content. The manifest is written last."""

import gzip
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from tasks.errors import Conflict, NotFound
from tasks.records import Snapshot
from training.formats import SnapshotFile, SnapshotManifest, Split

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def pack(folder: Path, split: Split, rows: Iterable[tuple[str, str]]) -> SnapshotFile:
    """Write (text, label) rows as {split}.jsonl.gz; the same rows give the same bytes.

    The SHA-256 is over the unpacked lines, so that it does not hang on a version of zlib.
    """
    digest, labels = hashlib.sha256(), dict[str, int]()
    name = f"{split}.jsonl.gz"
    with (folder / name).open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as written:
        for text, label in rows:
            # ASCII, so that no reader finds a line end inside a text (U+0085, U+2028).
            line = json.dumps({"label": label, "text": text}).encode() + b"\n"
            digest.update(line)
            written.write(line)
            labels[label] = labels.get(label, 0) + 1
    return SnapshotFile(
        name=name,
        rows=sum(labels.values()),
        sha256=digest.hexdigest(),
        labels=dict(sorted(labels.items())),
    )


def content_sha256(labels: Iterable[str], files: dict[Split, SnapshotFile]) -> str:
    """The name of a snapshot: what its rows and labels are, not where they came from."""
    content = {"labels": list(labels), "files": {s: f.sha256 for s, f in files.items()}}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write(
    client: "S3Client",
    bucket: str,
    manifest: SnapshotManifest,
    folder: Path,
    beside: Iterable[str] = (),
) -> Snapshot:
    """Put the packed files of `folder`, those `beside` them and then the manifest.

    What is there already stays.

    Writing twice is the same as writing once, also when the answer to a write was lost.
    """
    uri = f"s3://{bucket}/datasets/{manifest.classifier}/{manifest.sha256}"
    try:
        before = _manifest(client, uri)
    except NotFound:
        for name in (*(file.name for file in manifest.files.values()), *beside):
            _upload(client, folder / name, f"{uri}/{name}")
        return _snapshot(_commit(client, uri, manifest), uri, reused=False)
    return _snapshot(_same(before, manifest, uri), uri, reused=True)


def read(client: "S3Client", uri: str) -> Snapshot:
    """The snapshot at s3://BUCKET/datasets/CLASSIFIER/SHA; NotFound when it is not complete."""
    return _snapshot(_manifest(client, uri.rstrip("/")), uri.rstrip("/"), reused=True)


def remember(client: "S3Client", bucket: str, snapshot: Snapshot) -> None:
    """Make the snapshot the one that `latest` finds."""
    body = json.dumps({"sha256": snapshot.sha256, "uri": snapshot.uri}).encode()
    key = _pointer(snapshot.classifier)
    try:
        if client.get_object(Bucket=bucket, Key=key)["Body"].read() == body:
            return
    except client.exceptions.NoSuchKey:
        pass
    client.put_object(Bucket=bucket, Key=key, Body=body)


def latest(client: "S3Client", bucket: str, classifier: str) -> Snapshot:
    """The snapshot that was ingested last."""
    try:
        found = client.get_object(Bucket=bucket, Key=_pointer(classifier))
    except client.exceptions.NoSuchKey as error:
        raise NotFound(
            f"{classifier}: no data set was ingested yet; run"
            f" `prefect deployment run 'ingest/{classifier}'` first"
        ) from error
    return read(client, json.loads(found["Body"].read())["uri"])


def _pointer(classifier: str) -> str:
    return f"datasets/{classifier}/latest.json"


def _upload(client: "S3Client", path: Path, uri: str) -> None:
    parts = urlsplit(uri)
    with path.open("rb") as body:
        client.put_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"), Body=body)


def _manifest(client: "S3Client", uri: str) -> SnapshotManifest:
    parts = urlsplit(f"{uri}/manifest.json")
    try:
        found = client.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    except client.exceptions.NoSuchKey as error:
        raise NotFound(
            f"{uri}: no complete snapshot is there (manifest.json is missing)"
        ) from error
    return SnapshotManifest.model_validate_json(found["Body"].read())


def _commit(client: "S3Client", uri: str, manifest: SnapshotManifest) -> SnapshotManifest:
    parts = urlsplit(f"{uri}/manifest.json")
    try:
        client.put_object(
            Bucket=parts.netloc,
            Key=parts.path.lstrip("/"),
            Body=manifest.to_bytes(),
            IfNoneMatch="*",
        )
    except ClientError as error:
        # 412: somebody wrote the same rows, or our own first answer was lost on the way.
        if error.response["Error"]["Code"] not in ("PreconditionFailed", "412"):
            raise
        return _same(_manifest(client, uri), manifest, uri)
    return manifest


def _same(there: SnapshotManifest, ours: SnapshotManifest, uri: str) -> SnapshotManifest:
    if (there.labels, there.files) != (ours.labels, ours.files):
        raise Conflict(f"{uri}/manifest.json describes other files than the ones of this content")
    return there


def _snapshot(manifest: SnapshotManifest, uri: str, reused: bool) -> Snapshot:
    return Snapshot(
        classifier=manifest.classifier,
        sha256=manifest.sha256,
        uri=uri,
        rows={split: file.rows for split, file in manifest.files.items()},
        labels=manifest.labels,
        rows_read=manifest.rows_read,
        dropped=manifest.dropped,
        reused=reused,
    )
