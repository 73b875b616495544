"""Steps that read what was answered and what it is compared with, as numbers."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from tasks import features
from tasks.adapters import aws, data_capture, predictions, reference
from tasks.adapters.predictions import Selection
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


def measure(
    place: Place,
    chosen: Classifier,
    data_bucket: str,
    check: Check,
    found: Reference,
    scheduler: str = "",
) -> Sides:
    """Both sides as numbers; of a window of very many answers a sample, which knows of how many.

    By the Dask cluster whose scheduler is named, else by this process.
    """
    selection = choose_rows(data_bucket, chosen, check)
    if not len(selection) or not scheduler:
        return measure_here(place, chosen, data_bucket, check, found, selection)
    from tasks import spread  # Dask: two seconds that most checks have no use for

    folder = found.folder_uri if _encoder(chosen, found) else ""
    window = spread.measured(selection, folder, found.names, scheduler)
    return Sides(_reference(chosen, found), window)


@live
def choose_rows(data_bucket: str, chosen: Classifier, check: Check) -> Selection:
    """Which logged answers are looked at."""
    found = predictions.select(
        aws.client("s3"), data_bucket, check.about, chosen.drift.max_rows, newest=check.rows
    )
    log.info("%s: %d of %d answers are looked at", check.name, len(found), found.total)
    return found


@live
def measure_here(
    place: Place,
    chosen: Classifier,
    data_bucket: str,
    check: Check,
    found: Reference,
    selection: Selection,
) -> Sides:
    """Both sides, by this process."""
    s3, encoder = aws.client("s3"), _encoder(chosen, found)
    captured = not len(selection) and place.target == "sagemaker"
    if captured:
        batches = _captured(s3, place, chosen, data_bucket, check, found)
    else:
        batches = predictions.read(s3, selection, features.COLUMNS)
    window = features.of_batches(batches, encoder, found.names)
    if not captured:
        window = replace(window, total=selection.total)
    return Sides(_reference(chosen, found), window)


def _reference(chosen: Classifier, found: Reference) -> Features:
    """As the log would hold it."""
    hidden = partial(redact, policy=chosen.capture.text)
    return features.of_reference(found.rows.rows, _encoder(chosen, found), found.names, hidden)


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
