"""Steps that read what callers said of the answers: for the drift check and for a retrain."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tasks.adapters import aws
from tasks.adapters import feedback as log
from tasks.errors import BadData
from tasks.feedback_window import FeedbackWindow
from tasks.policy import fresh
from tasks.policy.feedback import (
    Answer,
    FeedbackAccuracy,
    Joined,
    Labels,
    accuracy,
    join,
    last_of_each_text,
)
from tasks.retries import live
from training.redaction import redact

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Labelled answers of a window, as JSON lines in a folder of this machine.

    `labels` requests were labelled, `rows` of them are in the file.
    """

    window: FeedbackWindow
    file: Path
    labels: int
    rows: int


@live(task_run_name="accuracy of {classifier} by feedback")
def feedback_accuracy(
    bucket: str, classifier: str, since: datetime, until: datetime
) -> FeedbackAccuracy:
    """How often the versions were right that answered in the span, by the labels up to now."""
    labels = _labels(bucket, classifier, since, None)
    joined = _joined(bucket, classifier, labels, since, until)
    found = accuracy(joined, since, until)
    for one in found.versions:
        logger.info("%s: %s", classifier, one.told())
    logger.info(
        "%s: %d labels, %d of requests that the log does not have from then, %d of ids used twice",
        *(classifier, len(labels), found.unknown, found.ambiguous),
    )
    return found


@live(task_run_name="count new labels of {classifier}")
def new_labels(bucket: str, classifier: str, window: FeedbackWindow) -> int:
    """How many answers were labelled in the window: what a retrain could learn from."""
    labels = _labels(bucket, classifier, window.since, window.until)
    return len(_joined(bucket, classifier, labels, window.answered_since, window.until).rows)


@live(task_run_name="gather feedback of {classifier}")
def gather(bucket: str, classifier: str, window: FeedbackWindow, folder: str) -> Gathered | None:
    """Write each text that was labelled in the window beside its last label; None without any.

    Where the log holds nothing but hashes of the texts that is BadData, if labels are needed.
    """
    labels = _labels(bucket, classifier, window.since, window.until)
    joined = _joined(bucket, classifier, labels, window.answered_since, window.until, texts=True)
    rows = [row for row in last_of_each_text(joined.rows) if not _is_hash(row.answer.text)]
    if joined.rows and not rows:
        where = f"feedback of {classifier} from {window.since} to {window.until}"
        detail = (
            f"the log holds hashes in place of the {len(joined.rows)} labelled texts: nothing can"
            ' be learned from them; set text = "mask" in [capture] of the classifier file and'
            " release, later answers can be learned from"
        )
        if window.needed:
            raise BadData(where, None, "hashed_texts", detail)
        logger.warning("%s: %s", where, detail)
    logger.info(
        "%s: %d labels, %d rows to learn from, %d of requests that the log does not have,"
        " %d of ids used twice",
        *(classifier, len(labels), len(rows), joined.unknown, joined.ambiguous),
    )
    if not rows:
        return None
    file = Path(folder, fresh.FILES.train)
    with file.open("w", encoding="ascii") as written:
        for row in rows:
            written.write(json.dumps({"label": row.label, "text": row.answer.text}) + "\n")
    return Gathered(window, file, len(labels), len(rows))


def _labels(bucket: str, classifier: str, since: datetime, until: datetime | None) -> Labels:
    labels = Labels()
    for request_id, at, label in log.labels(aws.client("s3"), bucket, classifier, since, until):
        labels.add(request_id, at, label)
    return labels


def _joined(
    bucket: str,
    classifier: str,
    labels: Labels,
    since: datetime,
    until: datetime,
    *,
    texts: bool = False,
) -> Joined:
    found = log.answers(
        aws.client("s3"), bucket, classifier, since, until, labels.requests, texts=texts
    )
    return join(labels, (Answer(*row) for row in found))


def _is_hash(text: str) -> bool:
    return redact(text, "hash") == text
