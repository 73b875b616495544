import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.adapters import sources
from tasks.errors import BadData, NotFound

TRAIN, TEST = "train.csv*", "test*.csv*"


@pytest.fixture
def bucket(sandbox) -> str:
    boto3.client("s3").create_bucket(Bucket="source-tests")
    return "source-tests"


def test_lines_of_plain_and_gzipped_files_end_at_lf_only(tmp_path):
    content = "a\u0085b\rc\nd".encode()
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed").write_bytes(gzip.compress(content))

    assert list(sources.lines(tmp_path / "plain")) == [content[:-1], b"d"]
    assert list(sources.lines(tmp_path / "packed")) == [content[:-1], b"d"]


@given(st.binary(max_size=200), st.integers(0, 9))
def test_a_packed_file_has_the_lines_of_the_plain_one(content, level):
    plain = b"#" + content  # what begins like a packed file is one
    with TemporaryDirectory() as name:
        path = Path(name) / "rows"
        path.write_bytes(plain)
        found = list(sources.lines(path))
        # Whatever a file is called, and also when it was packed in parts.
        path.write_bytes(gzip.compress(plain[:50], level) + gzip.compress(plain[50:], level))

        assert list(sources.lines(path)) == found
        assert b"".join(found) == plain
        assert len(found) == plain.count(b"\n") + (not plain.endswith(b"\n"))


def test_a_torn_gzip_file_is_named(tmp_path):
    (tmp_path / "rows.gz").write_bytes(gzip.compress(b"text" * 1000)[:-12])

    with pytest.raises(BadData, match=r"rows\.gz: bad_gzip: .*copy the file again"):
        list(sources.lines(tmp_path / "rows.gz"))


def test_a_folder_gives_the_files_that_the_patterns_name(tmp_path):
    for name in ("train.csv.gz", "test_a.csv", "readme.txt"):
        (tmp_path / name).touch()

    found = sources.from_local(str(tmp_path), TRAIN, TEST)

    assert found == sources.LocalFiles(tmp_path, ("train.csv.gz",), ("test_a.csv",))


def test_a_folder_of_the_uploader_is_known_too(tmp_path):
    for name in ("train.jsonl", "test.jsonl", "info.json"):
        (tmp_path / name).touch()

    found = sources.from_local(str(tmp_path), TRAIN, TEST)

    assert found == sources.LocalFiles(tmp_path, ("train.jsonl",), ("test.jsonl",), jsonl=True)


def test_a_folder_that_is_not_there_says_what_to_pass():
    with pytest.raises(NotFound, match=r"/nowhere: no such file or folder; pass source="):
        sources.from_local("nowhere", TRAIN, TEST)


def test_a_folder_without_the_file_says_what_is_there(tmp_path):
    (tmp_path / "rows.csv").touch()

    with pytest.raises(NotFound, match=r"holds no file 'train\.csv\*' or .*; there are rows\.csv"):
        sources.from_local(str(tmp_path), TRAIN, TEST)


def test_all_files_that_a_pattern_names_are_read_in_their_order(tmp_path):
    for name in ("b.csv", "a/2.csv", "a/1.csv", "test.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    found = sources.from_local(str(tmp_path), "*.csv", "test*.csv")

    assert (found.train, found.test) == (("a/1.csv", "a/2.csv", "b.csv"), ("test.csv",))


def test_a_prefix_and_an_object_in_s3_come_here(bucket, tmp_path):
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key="raw/ag/", Body=b"")
    s3.put_object(Bucket=bucket, Key="raw/ag/train/2.csv", Body=b"two")
    s3.put_object(Bucket=bucket, Key="raw/ag/train/1.csv", Body=b"one")
    s3.put_object(Bucket=bucket, Key="raw/ag/val/1.csv", Body=b"test")
    s3.put_object(Bucket=bucket, Key="raw/agro/train/1.csv", Body=b"another")

    found = sources.from_s3(s3, f"s3://{bucket}/raw/ag", "train/*.csv", "val/*.csv", tmp_path)
    one = sources.from_s3(s3, f"s3://{bucket}/raw/ag/val/1.csv", TRAIN, TEST, tmp_path)

    assert [(tmp_path / name).read_bytes() for name in found.train] == [b"one", b"two"]
    assert [(tmp_path / name).read_bytes() for name in found.test] == [b"test"]
    assert one == sources.LocalFiles(tmp_path, ("1.csv",))
    assert (tmp_path / "1.csv").read_bytes() == b"test"


def test_a_key_cannot_leave_the_folder(bucket, tmp_path):
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key="raw/evil/../../train.csv", Body=b"x")

    with pytest.raises(BadData, match=r"bad_name"):
        sources.from_s3(s3, f"s3://{bucket}/raw/evil", "*train.csv", "", tmp_path / "deep")


@pytest.mark.parametrize("prefix", ["datasets/ag_news", "datasets/ag_news/"])
def test_an_empty_prefix_says_upload_first(bucket, tmp_path, prefix):
    with pytest.raises(
        NotFound,
        match=r"not in S3 yet: no object 'train\.csv\*' or 'train\.jsonl\*' below"
        r" s3://source-tests/datasets/ag_news/; upload it first with `aws s3 cp FILE s3://",
    ):
        sources.from_s3(boto3.client("s3"), f"s3://{bucket}/{prefix}", TRAIN, TEST, tmp_path)


def test_a_bucket_that_is_not_there_is_named(sandbox, tmp_path):
    with pytest.raises(NotFound, match="s3://no-such-bucket-here: no such bucket"):
        sources.from_s3(boto3.client("s3"), "s3://no-such-bucket-here/x", TRAIN, TEST, tmp_path)
