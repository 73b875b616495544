import gzip
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tasks.adapters import hub, sources
from tasks.classifiers import Hub
from tasks.errors import BadData, NotFound

TRAIN, TEST = "train.csv*", "test*.csv*"


@pytest.fixture
def bucket(sandbox) -> str:
    boto3.client("s3").create_bucket(Bucket="source-tests")
    return "source-tests"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server with one file, one that is broken and nothing else."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served/rows.csv.gz").write_bytes(gzip.compress(b"one\ntwo\n"))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path / "served"))

        def log_message(self, *args: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_lines_of_plain_and_gzipped_files_end_at_lf_only(tmp_path):
    content = "a\u0085b\rc\nd".encode()
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed").write_bytes(gzip.compress(content))

    assert list(sources.lines(tmp_path / "plain")) == [content[:-1], b"d"]
    assert list(sources.lines(tmp_path / "packed")) == [content[:-1], b"d"]


def test_a_torn_gzip_file_is_named(tmp_path):
    (tmp_path / "rows.gz").write_bytes(gzip.compress(b"text" * 1000)[:-12])

    with pytest.raises(BadData, match=r"rows\.gz: bad_gzip: .*copy the file again"):
        list(sources.lines(tmp_path / "rows.gz"))


def test_a_folder_gives_the_files_that_the_patterns_name(tmp_path):
    for name in ("train.csv.gz", "test_a.csv", "readme.txt"):
        (tmp_path / name).touch()

    found = sources.from_local(str(tmp_path), TRAIN, TEST)

    assert (found.train.name, found.test and found.test.name) == ("train.csv.gz", "test_a.csv")


def test_a_folder_of_the_uploader_is_known_too(tmp_path):
    for name in ("train.jsonl", "test.jsonl", "info.json"):
        (tmp_path / name).touch()

    found = sources.from_local(str(tmp_path), TRAIN, TEST)

    assert found == sources.LocalFiles(tmp_path / "train.jsonl", tmp_path / "test.jsonl", True)


def test_a_folder_that_is_not_there_says_what_to_pass():
    with pytest.raises(NotFound, match=r"/nowhere: no such file or folder; pass source="):
        sources.from_local("nowhere", TRAIN, TEST)


def test_a_folder_without_the_file_says_what_is_there(tmp_path):
    (tmp_path / "rows.csv").touch()

    with pytest.raises(NotFound, match=r"holds no file 'train\.csv\*' or .*; there are rows\.csv"):
        sources.from_local(str(tmp_path), TRAIN, TEST)


def test_two_files_for_one_split_are_refused(tmp_path):
    for name in ("train.csv", "train.csv.gz"):
        (tmp_path / name).touch()

    with pytest.raises(
        BadData, match=r"ambiguous: 'train\.csv\*' names train\.csv, train\.csv\.gz"
    ):
        sources.from_local(str(tmp_path), TRAIN, TEST)


def test_a_prefix_and_an_object_in_s3_come_here(bucket, tmp_path):
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key="raw/ag/train.csv", Body=b"train")
    s3.put_object(Bucket=bucket, Key="raw/ag/test_a.csv", Body=b"test")
    s3.put_object(Bucket=bucket, Key="raw/agro/train.csv", Body=b"another")

    found = sources.from_s3(s3, f"s3://{bucket}/raw/ag", TRAIN, TEST, tmp_path)
    one = sources.from_s3(s3, f"s3://{bucket}/raw/ag/test_a.csv", TRAIN, TEST, tmp_path)

    assert found.test
    assert (found.train.read_bytes(), found.test.read_bytes()) == (b"train", b"test")
    assert (one.train.read_bytes(), one.test) == (b"test", None)


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


def test_a_file_from_the_web_comes_here(web, tmp_path):
    found = sources.from_web(f"{web}/rows.csv.gz?version=1", tmp_path)

    assert list(sources.lines(found.train)) == [b"one\n", b"two\n"]


def test_a_missing_page_is_not_found(web, tmp_path):
    with pytest.raises(NotFound, match="the server answered 404"):
        sources.from_web(f"{web}/nothing.csv", tmp_path)


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(hub.constants, "ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(BadData, match=r"hub_unreachable: .*give source= a local folder"):
        hub.from_hub("hub://someone/rows", Hub().files, tmp_path)


def test_a_data_set_that_the_hub_does_not_have_is_named(monkeypatch, web, tmp_path):
    monkeypatch.setattr(hub.constants, "ENDPOINT", web)

    with pytest.raises(BadData, match=r"not_on_hub: .*/someone/rows answered 404"):
        hub.from_hub("hub://someone/rows", Hub().files, tmp_path)


def hub_of(rows: list[dict[str, Any]]):
    """Stand in for the hub: every split of every data set holds these rows."""
    return lambda name, split: iter(rows)


def test_hub_rows_come_as_json_lines(monkeypatch, web, tmp_path):
    (tmp_path / "served/api/datasets/someone/rows").mkdir(parents=True)
    monkeypatch.setattr(hub.constants, "ENDPOINT", web)
    monkeypatch.setattr(hub, "stream", hub_of([{"text": "x", "label": 3, "more": 1}]))

    found = hub.from_hub("hub://someone/rows", Hub().files, tmp_path)

    assert list(sources.lines(found.train)) == [b'{"text": "x", "label": 3}\n']
    assert (found.test and found.test.name, found.jsonl) == ("test.jsonl", True)

    monkeypatch.setattr(hub, "stream", hub_of([{"content": "x", "label": 3}]))
    with pytest.raises(BadData, match=r"no column \['text'\]; there are \['content', 'label'\]"):
        hub.from_hub("hub://someone/rows", Hub().files, tmp_path)
