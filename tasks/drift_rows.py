"""Steps that read what was answered and what it is compared with, as numbers."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from tasks import features
from tasks.adapters import aws, data_capture, predictions, reference
from tasks.adapters.reference import Reference
from tasks.classifiers import Classifier
from tasks.drift import Check, Sides
from tasks.policy.signals import Features
from tasks.records import Place, Served
from tasks.retries import live
from training.encoder import Encoder
from training.redaction import redact

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

_SAGEMAKER = "data-capture-sagemaker"  # folder in the data bucket, unless the endpoint has its own


@live
def find_reference(place: Place, served: Served) -> Reference:
    """The held-back rows of the serving version; MonitorBroken when there are none."""
    return reference.find(aws.client("s3"), place.models_bucket, place.classifier, served)


@live
def measure(
    place: Place, chosen: Classifier, data_bucket: str, check: Check, found: Reference
) -> Sides:
    """Both sides as numbers; of a window of very many answers a sample, which knows of how many."""
    hidden = partial(redact, policy=chosen.capture.text)
    rows = features.of_reference(found.rows.rows, _encoder(chosen, found), found.names, hidden)
    return Sides(rows, _window(place, chosen, data_bucket, check, found))


def _window(
    place: Place, chosen: Classifier, data_bucket: str, check: Check, found: Reference
) -> Features:
    s3, encoder = aws.client("s3"), _encoder(chosen, found)
    selection = predictions.select(
        s3, data_bucket, check.about, chosen.drift.max_rows, newest=check.rows
    )
    if not len(selection) and place.target == "sagemaker":
        batches = _captured(s3, place, chosen, data_bucket, check, found)
        return features.of_batches(batches, encoder, found.names)
    batches = predictions.read(s3, selection, features.COLUMNS)
    seen = features.of_batches(batches, encoder, found.names)
    log.info("%s: %d of %d answers are looked at", check.name, len(seen), selection.total)
    return replace(seen, total=selection.total)


def _captured(
    s3: "S3Client",
    place: Place,
    chosen: Classifier,
    data_bucket: str,
    check: Check,
    found: Reference,
) -> Iterator[pa.RecordBatch]:
    """What SageMaker wrote down of an endpoint whose answers our own log does not hold."""
    default = f"s3://{data_bucket}/{_SAGEMAKER}"
    folder = data_capture.destination(aws.client("sagemaker"), place.prefix, default)
    hidden = partial(redact, policy=chosen.capture.text)
    for batch in data_capture.read(s3, folder, check.about, found.names, hidden):
        yield batch.select(features.COLUMNS)


def _encoder(chosen: Classifier, found: Reference) -> Encoder | None:
    """None where the log holds hashes: they are no texts."""
    return None if chosen.capture.text == "hash" else found.encoder
