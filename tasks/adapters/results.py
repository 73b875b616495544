"""What jobs leave in S3: the manifest and run of a training job, the evaluation of another.

And what they were given: the manifest of their snapshot.
"""

import json
import tarfile
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from tasks.errors import NotFound
from training.formats import BundleManifest, SnapshotManifest, TrainingCurve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LIMIT = 256 * 2**20  # output.tar.gz holds two small files; more is not ours


def trained(s3: "S3Client", model_uri: str) -> tuple[BundleManifest, str]:
    """The manifest of the bundle at `model_uri` and the MLflow run that made it."""
    manifest, metrics = _output(s3, model_uri, "manifest.json", "metrics.json")
    if not (run_id := json.loads(metrics).get("run_id")):
        uri = _beside(model_uri)
        raise NotFound(f"{uri}: metrics.json names no MLflow run; was MLFLOW_TRACKING_URI set?")
    return BundleManifest.model_validate_json(manifest), str(run_id)


def curve(s3: "S3Client", model_uri: str) -> TrainingCurve:
    """How the training that made the bundle at `model_uri` went, epoch by epoch."""
    return TrainingCurve.model_validate_json(*_output(s3, model_uri, "metrics.json"))


def data(s3: "S3Client", snapshot_uri: str) -> SnapshotManifest:
    """What is in a snapshot: its source, its rows of each class, what was dropped."""
    return SnapshotManifest.model_validate_json(_read(s3, f"{snapshot_uri}/manifest.json"))


def evaluation(s3: "S3Client", folder_uri: str) -> str:
    """The text of evaluation.json, as the processing job wrote it."""
    return _read(s3, f"{folder_uri}/evaluation.json").decode(errors="replace")


def _beside(model_uri: str) -> str:
    return f"{model_uri.rsplit('/', 1)[0]}/output.tar.gz"


def _output(s3: "S3Client", model_uri: str, *names: str) -> list[bytes]:
    uri = _beside(model_uri)
    with tarfile.open(fileobj=BytesIO(_read(s3, uri)), mode="r:gz") as tar:
        return [_member(tar, uri, name) for name in names]


def _read(s3: "S3Client", uri: str) -> bytes:
    parts = urlsplit(uri)
    try:
        found = s3.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        raise NotFound(f"{uri}: the job left no such file") from error
    if found["ContentLength"] > _LIMIT:
        raise NotFound(f"{uri}: {found['ContentLength']} bytes, {_LIMIT} at most were expected")
    return found["Body"].read()


def _member(tar: tarfile.TarFile, uri: str, name: str) -> bytes:
    for member in tar.getmembers():
        if member.isfile() and member.name.removeprefix("./") == name:
            content = tar.extractfile(member)
            return content.read() if content else b""
    raise NotFound(f"{uri}: holds no {name}")
