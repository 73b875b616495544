"""Raw rows into a snapshot that never changes."""

import sys
from typing import Annotated

from prefect import flow
from pydantic import Field

from tasks.data import (
    fetch,
    load_classifier,
    prepare,
    workspace,
    write_snapshot,
)
from tasks.feedback import gather
from tasks.feedback_window import FeedbackWindow
from tasks.quality import publish_report
from tasks.records import Snapshot
from tasks.settings import Settings

SampleSize = Annotated[int | None, Field(ge=20)]


@flow(name="ingest", flow_run_name="ingest {classifier}")
def ingest(
    classifier: str,
    source: str | None = None,
    sample_size: SampleSize = None,
    feedback: FeedbackWindow | None = None,
) -> Snapshot:
    """Clean and split the rows of a source and keep them in S3 under the hash of their content.

    Args:
        classifier: A file in classifiers/: news, genre, sentiment or your own.
        source: A folder or file, s3://BUCKET/PREFIX, http(s)://FILE, hub://ID or
            sample://NAME?rows=2000&seed=7. Empty: the source of the classifier file.
        sample_size: Most training rows of the source. Empty: sample_size of the classifier file.
        feedback: Answers that callers labelled in this window are rows on top. Empty: none.
    """
    settings = Settings()
    chosen = load_classifier(classifier, settings.classifiers_dir)
    origin = source or chosen.data.source
    with workspace() as folder:
        fetched = fetch(chosen, origin, folder)
        told = gather(settings.data_bucket, classifier, feedback, folder) if feedback else None
        prepared = prepare(chosen, origin, fetched, folder, sample_size, told)
        snapshot = write_snapshot(settings.data_bucket, prepared)
        publish_report(prepared.folder, snapshot)
    return snapshot


if __name__ == "__main__":
    ingest(sys.argv[1], source=sys.argv[2] if len(sys.argv) > 2 else None)
