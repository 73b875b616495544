"""Files that SageMaker's DataCapture writes, as rows of the prediction log.

For endpoints whose answers our own log does not hold. DataCapture is best effort: it stops when
the disk is full. Not covered: answers that were streamed or asked for asynchronously.
"""

import base64
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from tasks.drift_records import Checked
from tasks.errors import MonitorBroken
from training import capture
from training.capture import Prediction

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

_HOUR = timedelta(hours=1)


def destination(sagemaker: "SageMakerClient", endpoint: str, default: str) -> str:
    """The folder of the endpoint's files: the one it is configured for, or the one in `default`."""
    found = sagemaker.describe_endpoint(EndpointName=endpoint).get("DataCaptureConfig")
    return f"{(found['DestinationS3Uri'] if found else default).rstrip('/')}/{endpoint}"


def read(
    s3: "S3Client",
    folder_uri: str,
    wanted: Checked,
    names: Sequence[str],
    redact: Callable[[str], str],
) -> Iterator[pa.RecordBatch]:
    """The answers of the wanted version in its window, a batch for each file; texts redacted.

    An answer that names another version is left out. MonitorBroken names a file that cannot be
    read.
    """
    parts = urlsplit(folder_uri)
    for key in _keys(s3, parts.netloc, parts.path.strip("/"), wanted):
        body = s3.get_object(Bucket=parts.netloc, Key=key)["Body"].read()
        try:
            found = [row for line in body.splitlines() for row in _rows(line, key, wanted, names)]
        except (ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
            uri = f"s3://{parts.netloc}/{key}"
            raise MonitorBroken(f"{uri}: not what DataCapture writes: {error!r}") from error
        if found:
            rows = [{**asdict(row), "text": redact(row.text)} for row in found]
            yield pa.RecordBatch.from_pylist(rows, schema=capture.schema("prediction"))


def _keys(s3: "S3Client", bucket: str, folder: str, wanted: Checked) -> Iterator[str]:
    """Files lie in `variant/yyyy/mm/dd/hh/`."""
    listed = s3.get_paginator("list_objects_v2")
    variants = [
        found["Prefix"]
        for page in listed.paginate(Bucket=bucket, Prefix=f"{folder}/", Delimiter="/")
        for found in page.get("CommonPrefixes", [])
    ]
    hour = wanted.since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < wanted.until:
        for variant in variants:
            pages = listed.paginate(Bucket=bucket, Prefix=f"{variant}{hour:%Y/%m/%d/%H}/")
            for page in pages:
                yield from (found["Key"] for found in page.get("Contents", []))
        hour += _HOUR


def _rows(line: bytes, key: str, wanted: Checked, names: Sequence[str]) -> Iterator[Prediction]:
    told = json.loads(line)
    about = told["eventMetadata"]
    at = datetime.fromisoformat(about["inferenceTime"])
    if not wanted.since <= at < wanted.until:
        return
    asked = _asked(told["captureData"]["endpointInput"])
    answered, version = _answered(told["captureData"]["endpointOutput"])
    if version not in (None, wanted.version):
        return
    if len(asked) != len(answered):
        raise ValueError(f"{len(asked)} texts and {len(answered)} answers")
    ids = capture.ids(about["eventId"], len(asked))
    for request_id, text, shares in zip(ids, asked, answered, strict=True):
        probabilities = _spread(shares, names)
        label = max(shares, key=lambda one: shares[one])
        yield Prediction(
            request_id=request_id,
            timestamp=round(at.timestamp() * 1000),
            classifier=wanted.classifier,
            model_version=wanted.version,
            bundle_digest=wanted.bundle_digest,
            variant=key.split("/")[-6],
            text=text,
            characters=len(text),
            label=label,
            confidence=shares[label],
            probabilities=probabilities,
            latency_ms=0.0,
            truncated=False,
        )


def _asked(part: dict[str, str]) -> list[str]:
    """The texts of one request, in the shapes that `/invocations` takes."""
    content = _content(part)
    if isinstance(content, list):
        return [row[0] for row in content]
    return content["texts"] if "texts" in content else [content.get("text") or content["data"]]


def _answered(part: dict[str, str]) -> tuple[list[dict[str, float]], str | None]:
    """Label to share for each text, as far as the answer tells them, and the version it names."""
    content = _content(part)
    if isinstance(content, list):
        return [{row[0]: float(row[1])} for row in content], None
    if "main_category" in content:
        named = zip(content["main_category"], content["probabilities"], strict=True)
        return [dict(named)], None
    each = content.get("predictions") or [content]
    found = [{one["prediction"]: float(one["confidence"])} for one in each]
    return found, content.get("model_version")


def _content(part: dict[str, str]) -> Any:
    """JSON as it is, CSV as its rows."""
    data, encoding = part["data"], part["encoding"]
    if encoding == "BASE64":
        data = base64.b64decode(data).decode()
        encoding = "CSV" if "csv" in part.get("observedContentType", "") else "JSON"
    if encoding == "CSV":
        return [row for row in csv.reader(data.splitlines(), strict=True) if row]
    return json.loads(data)


def _spread(shares: dict[str, float], names: Sequence[str]) -> tuple[float, ...]:
    """What an answer does not tell is shared out evenly among the other labels."""
    if strange := shares.keys() - set(names):
        raise ValueError(f"label {min(strange)!r} is none of the model's")
    others = len(names) - len(shares)
    rest = max(0.0, 1 - sum(shares.values())) / others if others else 0.0
    return tuple(shares.get(name, rest) for name in names)
