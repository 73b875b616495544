import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import pytest

from tasks.adapters import aws, journal
from tasks.errors import Conflict
from tasks.records import Release, Served

BUCKET = "journal-models"
SERVED = Served("1", "s3://models/1/model.tar.gz", "a" * 64, "ec2")
FIRST = Release(1, "STAGING", None, None, SERVED, "o" * 64, "", "run-1")


@pytest.fixture
def s3(sandbox):
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def key(request):
    return f"releases/dev/{request.node.name}/journal.json"


def test_no_journal_is_none_and_no_access_is_an_error(s3, key, sandbox):
    assert journal.read(s3, BUCKET, key) is None

    sandbox.fault(service="s3", action="GetObject", kind="access-denied")
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        journal.read(s3, BUCKET, key)


def test_what_is_written_is_read(s3, key):
    written = journal.write(s3, BUCKET, key, replace(FIRST, champion=SERVED, reason="why"))

    assert journal.read(s3, BUCKET, key) == written
    assert written.etag


def test_first_write_does_not_overwrite(s3, key):
    journal.write(s3, BUCKET, key, FIRST)

    with pytest.raises(Conflict, match=r"holds generation 1 \(STAGING\) of run-1"):
        journal.write(s3, BUCKET, key, replace(FIRST, holder="run-2"))


def test_a_stale_holder_cannot_write(s3, key):
    first = journal.write(s3, BUCKET, key, FIRST)
    journal.write(s3, BUCKET, key, replace(first, generation=2, holder="run-2"))

    with pytest.raises(Conflict, match="of run-2"):
        journal.write(s3, BUCKET, key, replace(first, generation=2, state="LIVE"))


@pytest.mark.parametrize("kind", ["commit-then-500", "throttle", "error-500", "reset"])
def test_a_write_that_aws_hiccups_on_is_one_write(s3, key, sandbox, kind):
    first = journal.write(s3, BUCKET, key, FIRST)
    sandbox.fault(service="s3", action="PutObject", kind=kind)

    second = journal.write(s3, BUCKET, key, replace(first, generation=2, state="SWITCHING"))

    assert journal.read(s3, BUCKET, key) == second


def test_of_many_writers_at_once_one_wins(s3, key):
    first = journal.write(s3, BUCKET, key, FIRST)

    def take(number):
        try:
            return journal.write(s3, BUCKET, key, replace(first, generation=2, holder=str(number)))
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [release for release in pool.map(take, range(16)) if release]

    assert won == [journal.read(s3, BUCKET, key)]


def test_a_journal_from_before_leases_reads_as_one_without(s3, key):
    body = asdict(FIRST)
    for absent in ("etag", "until", "going_back"):
        del body[absent]
    s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(body).encode())

    release = journal.read(s3, BUCKET, key)

    assert replace(release, etag="") == FIRST
    assert (release.until, release.going_back) == ("", False)
