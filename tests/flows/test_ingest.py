import os
from pathlib import Path

import boto3
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.ingest import ingest
from tasks.errors import BadData, NotFound

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PERENNIAL_SHARED_DATA", ROOT.parent / "shared/data"))
BUCKET = "perennial-data-test"

pytestmark = pytest.mark.usefixtures("prefect_server", "settings_env")


def report(classifier: str) -> str:
    """The newest data-quality page of the classifier."""
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"ingest-{classifier}"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
    return str(max(found, key=lambda one: one.created).data)


def objects(prefix: str) -> set[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return {one["Key"] for one in found.get("Contents", [])}


def test_generated_news_becomes_a_snapshot_once(sandbox):
    source = "sample://news?rows=600&seed=3"

    first = ingest("news", source=source, sample_size=200)
    sandbox.clear_calls()
    second = ingest("news", source=source, sample_size=200)

    assert first.uri == f"s3://{BUCKET}/datasets/news/{first.sha256}"
    assert (first.rows["train"], first.rows["validation"], first.rows["test"]) == (200, 20, 150)
    assert (first.rows_read, first.reused) == (750, False)
    assert (second.sha256, second.reused) == (first.sha256, True)
    asked = [call["action"] for call in sandbox.calls(under=f"{BUCKET}/datasets/news")]
    assert "GetObject" in asked
    assert "PutObject" not in asked
    beside = {f"datasets/news/{first.sha256}/{name}" for name in ("quality.md", "quality.png")}
    assert beside <= objects("datasets/news/")
    assert "](data:image/png;base64," in report("news")


def test_the_report_counts_every_row(tmp_path):
    rows = [f"text number {at}\t{at % 2}" for at in range(400)]
    (tmp_path / "train.tsv").write_text("\n".join([*rows, "", "\t1", "no label\tx", rows[0]]))

    snapshot = ingest("sentiment", source=str(tmp_path))

    page = report("sentiment")
    assert "| `train.tsv` | 403 | 400 | 3 | 0.74% | 1 |" in page
    assert "| duplicate_row | `train.tsv` | 1 | 404 |" in page
    assert snapshot.dropped == {"empty_text": 1, "unknown_label": 1, "duplicate_row": 1}
    assert sum(snapshot.rows.values()) == 400


def test_too_many_bad_rows_leave_nothing_behind(tmp_path):
    rows = [f"text number {at}\t{at % 3}" for at in range(300)]
    (tmp_path / "train.tsv").write_text("\n".join(rows))
    before = objects("datasets/sentiment/")

    with pytest.raises(BadData, match=r"100 of 300 rows, 5\.0% are allowed: 100 unknown_label"):
        ingest("sentiment", source=str(tmp_path))

    assert objects("datasets/sentiment/") == before


def test_a_data_set_that_is_not_in_s3_yet_is_explained():
    with pytest.raises(NotFound, match="not in S3 yet"):
        ingest("genre", source=f"s3://{BUCKET}/training-data/")


@pytest.mark.filterwarnings("ignore:Task run:UserWarning")
def test_a_source_of_another_classifier_is_refused():
    with pytest.raises(BadData, match="holds the classes of news; use sample://genre"):
        ingest("genre", source="sample://news")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}; set PERENNIAL_SHARED_DATA")
@pytest.mark.parametrize(
    ("classifier", "folder", "read", "leaked"),
    [
        ("news", "ag_news", 19_962 + 3_800, 0),
        ("genre", "genre", 2_110 + 1_500, 0),
        ("sentiment", "sst2", 6_920 + 872, 1),
    ],
)
def test_real_files_come_in_whole(classifier, folder, read, leaked):
    snapshot = ingest(classifier, source=str(DATA / folder), sample_size=100_000)

    used = sum(snapshot.rows.values()) + sum(snapshot.dropped.values())
    assert snapshot.rows_read == read
    assert snapshot.dropped.get("leakage", 0) >= leaked
    assert sum(snapshot.dropped.values()) < 0.01 * read
    assert used == read if classifier != "news" else snapshot.rows["test"] == 2_000
    assert len(boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]) > 4
