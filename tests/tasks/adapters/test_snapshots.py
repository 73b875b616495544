import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from tasks.adapters import aws, snapshots
from tasks.errors import Conflict, NotFound
from training.formats import SPLITS, SnapshotFile, SnapshotManifest, Split

BUCKET = "snapshot-tests"
ROWS: list[tuple[str, str]] = [("Late goal\u0085 settles it", "Sports"), ("Envoys é met", "World")]


@pytest.fixture
def s3(sandbox):
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    sandbox.clear_faults()
    sandbox.clear_calls()
    yield aws.client("s3")
    sandbox.clear_faults()


def packed(folder: Path, mark: str, source: str = "here") -> SnapshotManifest:
    folder.mkdir(exist_ok=True)
    files: dict[Split, SnapshotFile] = {
        split: snapshots.pack(folder, split, [*ROWS, (f"{mark} {split}", "World")])
        for split in SPLITS
    }
    return SnapshotManifest(
        classifier="news",
        sha256=snapshots.content_sha256(("World", "Sports"), files),
        labels=("World", "Sports"),
        files=files,
        source=source,
        rows_read=9,
        dropped={"empty_text": 1},
    )


def puts(sandbox) -> int:
    return sum(call["action"] == "PutObject" for call in sandbox.calls(under=BUCKET))


def test_the_same_rows_give_the_same_bytes(tmp_path):
    one, two = packed(tmp_path / "a", "same"), packed(tmp_path / "b", "same")

    assert one == two
    for file in one.files.values():
        assert (tmp_path / "a" / file.name).read_bytes() == (
            tmp_path / "b" / file.name
        ).read_bytes()
    assert packed(tmp_path / "c", "other").sha256 != one.sha256


PAIRS = st.lists(st.tuples(st.text(max_size=8), st.sampled_from("ab")), max_size=4)


@given(PAIRS, PAIRS)
def test_the_hash_stands_for_the_rows_in_their_order(one, other):
    with TemporaryDirectory() as folder:
        first = snapshots.pack(Path(folder), "train", one)
        written = gzip.decompress((Path(folder) / first.name).read_bytes()).splitlines()
        second = snapshots.pack(Path(folder), "train", other)

    assert [(row["text"], row["label"]) for row in map(json.loads, written)] == one
    assert (first.sha256 == second.sha256) == (one == other)
    hashes = [
        snapshots.content_sha256("ab", {"train": file, "test": second}) for file in (first, second)
    ]
    assert (hashes[0] == hashes[1]) == (one == other)


def test_a_line_holds_one_row_whatever_its_letters(tmp_path):
    file = snapshots.pack(tmp_path, "train", ROWS)

    lines = gzip.decompress((tmp_path / file.name).read_bytes()).decode("ascii").splitlines()

    assert lines[0] == '{"label": "Sports", "text": "Late goal\\u0085 settles it"}'
    assert (file.rows, file.labels) == (2, {"Sports": 1, "World": 1})


def test_a_snapshot_is_written_once_and_read_back(s3, sandbox, tmp_path):
    written = snapshots.write(s3, BUCKET, packed(tmp_path, "once"), tmp_path)
    uploads = puts(sandbox)
    again = snapshots.write(s3, BUCKET, packed(tmp_path, "once", source="elsewhere"), tmp_path)

    assert written.uri == f"s3://{BUCKET}/datasets/news/{written.sha256}"
    assert (written.reused, again.reused) == (False, True)
    assert (uploads, puts(sandbox)) == (4, 4)
    assert snapshots.read(s3, written.uri + "/") == again
    assert again.rows == {"train": 3, "validation": 3, "test": 3}


def test_the_manifest_is_the_last_thing_written(s3, sandbox, tmp_path):
    manifest = packed(tmp_path, "broken off")
    (tmp_path / "test.jsonl.gz").unlink()

    with pytest.raises(FileNotFoundError):
        snapshots.write(s3, BUCKET, manifest, tmp_path)

    uri = f"s3://{BUCKET}/datasets/news/{manifest.sha256}"
    with pytest.raises(NotFound, match="no complete snapshot is there"):
        snapshots.read(s3, uri)
    again = snapshots.write(s3, BUCKET, packed(tmp_path, "broken off"), tmp_path)
    assert not again.reused


def test_a_lost_answer_to_the_last_write_is_success(s3, sandbox, tmp_path):
    sandbox.fault(service="s3", action="PutObject", kind="commit-then-500", after=3)

    written = snapshots.write(s3, BUCKET, packed(tmp_path, "lost"), tmp_path)

    assert snapshots.read(s3, written.uri).sha256 == written.sha256
    assert puts(sandbox) == 5


def test_other_files_under_the_same_name_are_a_conflict(s3, tmp_path):
    manifest = packed(tmp_path, "mine")
    snapshots.write(s3, BUCKET, manifest, tmp_path)
    forged = manifest.model_copy(update={"labels": ("Sports", "World")})

    with pytest.raises(Conflict, match="describes other files"):
        snapshots.write(s3, BUCKET, forged, tmp_path)


def test_the_latest_snapshot_is_remembered(s3, tmp_path):
    with pytest.raises(NotFound, match=r"no data set was ingested yet; run `prefect deployment"):
        snapshots.latest(s3, BUCKET, "news")

    for mark in ("first", "second"):
        last = snapshots.write(s3, BUCKET, packed(tmp_path, mark), tmp_path)
        snapshots.remember(s3, BUCKET, last)

    assert snapshots.latest(s3, BUCKET, "news").sha256 == last.sha256


@pytest.mark.parametrize("kind", ["throttle", "error-500", "reset"])
def test_a_passing_fault_of_s3_does_no_harm(s3, sandbox, tmp_path, kind):
    sandbox.fault(service="s3", action="PutObject", kind=kind, times=2)

    written = snapshots.write(s3, BUCKET, packed(tmp_path, kind), tmp_path)

    assert snapshots.read(s3, written.uri).rows == written.rows


@pytest.mark.parametrize("kind", ["expired-credentials", "access-denied"])
def test_denied_credentials_end_the_write_at_once(s3, sandbox, tmp_path, kind):
    sandbox.fault(service="s3", action="PutObject", kind=kind, times=20)

    with pytest.raises(ClientError, match=r"Expired|Denied"):
        snapshots.write(s3, BUCKET, packed(tmp_path, kind), tmp_path)

    assert puts(sandbox) == 1
