"""Conditional writes have one winner, and the disk holds what is there and no more."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError


def test_deleted_things_leave_no_files(aws, sandbox):
    s3 = aws("s3")
    s3.create_bucket(Bucket="emptied")
    s3.put_object(Bucket="emptied", Key="k", Body=b"1")
    s3.put_object(Bucket="emptied", Key="k", Body=b"2")
    folder = sandbox.state / "s3" / "emptied"

    assert len(list(folder.glob("*/*.value"))) == 1
    s3.delete_object(Bucket="emptied", Key="k")
    assert list(folder.glob("*")) == []
    s3.delete_bucket(Bucket="emptied")
    assert not folder.exists()


def test_one_of_many_first_writers_wins(aws):
    aws("s3").create_bucket(Bucket="contested")

    def write(number):
        try:
            client = aws("s3")
            client.put_object(
                Bucket="contested", Key="journal", Body=str(number).encode(), IfNoneMatch="*"
            )
        except ClientError as refused:
            return refused.response["Error"]["Code"]
        return "won"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(write, range(16)))

    assert sorted(outcomes) == ["PreconditionFailed"] * 15 + ["won"]


def test_a_stale_etag_does_not_write(aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket="guarded")
    stale = s3.put_object(Bucket="guarded", Key="k", Body=b"1")["ETag"]
    s3.put_object(Bucket="guarded", Key="k", Body=b"2", IfMatch=stale)

    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="guarded", Key="k", Body=b"3", IfMatch=stale)

    assert s3.get_object(Bucket="guarded", Key="k")["Body"].read() == b"2"


def test_one_key_is_written_read_and_deleted_by_many_at_once(aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket="crowded")
    place = {"Bucket": "crowded", "Key": "lock"}

    def use(number):
        seen = set()
        for _ in range(25):
            s3.put_object(**place, Body=str(number).encode())
            with suppress(s3.exceptions.NoSuchKey):
                seen.add(int(s3.get_object(**place)["Body"].read()))
            s3.list_objects_v2(Bucket="crowded")
            s3.delete_object(**place)
        return seen

    with ThreadPoolExecutor(8) as pool:
        seen = set().union(*pool.map(use, range(8)))

    assert seen <= set(range(8))
    assert "Contents" not in s3.list_objects_v2(Bucket="crowded")
