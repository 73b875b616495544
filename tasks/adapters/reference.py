"""What the serving version is compared with: the files that its evaluation left in S3."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from tasks.adapters import verdicts
from tasks.errors import MonitorBroken
from tasks.records import Served
from training import encoder, reference
from training.encoder import Encoder
from training.reference import ReferenceRows

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reference:
    """The held-back rows as the serving bundle answered them, and the encoder of its texts.

    `names` are the bundle's labels in the order of its probabilities.
    """

    folder_uri: str
    rows: ReferenceRows
    encoder: Encoder

    @property
    def names(self) -> tuple[str, ...]:
        return self.rows.labels


def find(s3: "S3Client", models_bucket: str, classifier: str, served: Served) -> Reference:
    """The reference of what the journal says is served.

    MonitorBroken names what is missing or broken and the command that makes it.
    """
    verdict = verdicts.read(s3, models_bucket, classifier, served.bundle_digest)
    remedy = (
        f"run `prefect deployment run 'evaluate/{classifier}' -p version='\"{served.version}\"'`"
    )
    if verdict is None or not verdict.evaluation_uri:
        where = f"s3://{models_bucket}/verdicts/{classifier}/{served.bundle_digest}.json"
        raise MonitorBroken(f"{where}: version {served.version} was never evaluated; {remedy}")
    folder = verdict.evaluation_uri.rsplit("/", 1)[0]
    uri = f"{folder}/{reference.FILE}"
    found = _made(uri, lambda: ReferenceRows.from_bytes(_read(s3, uri)), remedy)
    if found.bundle_digest != served.bundle_digest:
        raise MonitorBroken(
            f"{uri}: is of bundle {found.bundle_digest[:12]}, version {served.version} is bundle"
            f" {served.bundle_digest[:12]}; {remedy}"
        )
    return Reference(folder, found, _made(folder, lambda: read_encoder(s3, folder), remedy))


def exists(s3: "S3Client", models_bucket: str, classifier: str, bundle_digest: str) -> bool:
    """Whether the evaluation of the bundle left a reference; bundles of long ago have none."""
    verdict = verdicts.read(s3, models_bucket, classifier, bundle_digest)
    if verdict is None or not verdict.evaluation_uri:
        return False
    parts = urlsplit(f"{verdict.evaluation_uri.rsplit('/', 1)[0]}/{reference.FILE}")
    try:
        s3.head_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        return False
    return True


def read_encoder(s3: "S3Client", folder_uri: str) -> Encoder:
    """The encoder in an evaluation's folder; ValueError or a missing key when there is none."""
    tokenizer = _read(s3, f"{folder_uri}/{encoder.TOKENIZER}").decode("utf-8")
    return Encoder.of(tokenizer, _read(s3, f"{folder_uri}/{encoder.FILE}"))


def _made(uri: str, make: Callable[[], T], remedy: str) -> T:
    try:
        return make()
    except ValueError as error:
        raise MonitorBroken(f"{uri}: {error}; {remedy}") from error
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        raise MonitorBroken(f"{uri}: the evaluation left no such file; {remedy}") from error


def _read(s3: "S3Client", uri: str) -> bytes:
    parts = urlsplit(uri)
    return s3.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))["Body"].read()
