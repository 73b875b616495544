"""The ledger in S3: every decision, append-only, each record chained to the one before by hash."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tasks.adapters import objects
from tasks.errors import Conflict
from tasks.records import Entry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FIRST = "0" * 64
_ATTEMPTS = 50
_LOOK_BACK = 50  # a step is repeated soon after it was done


@dataclass(frozen=True, slots=True)
class Record:
    seq: int
    previous_hash: str
    entry: Entry

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()


_KNOWN: dict[tuple[str, str, str], Record] = {}  # by bucket, key and ETag


def append(s3: "S3Client", bucket: str, folder: str, entry: Entry) -> Record:
    """Add the entry at the end, once: the same op id and action are not written a second time."""
    for _ in range(_ATTEMPTS):
        tail = read(s3, bucket, folder, last=_LOOK_BACK)
        for record in reversed(tail):
            if (record.entry.op_id, record.entry.action) == (entry.op_id, entry.action):
                return record
        seq, before = (tail[-1].seq + 1, tail[-1].hash) if tail else (1, FIRST)
        new = Record(seq, before, entry)
        # A lost answer makes the number look taken, and then the entry is found.
        if objects.write(s3, bucket, _key(folder, seq), new.to_bytes()):
            return new
    raise Conflict(f"s3://{bucket}/{folder}: lost the race for a place {_ATTEMPTS} times")


def read(s3: "S3Client", bucket: str, folder: str, last: int | None = None) -> list[Record]:
    """The records in order; only the `last` ones when asked.

    A run reads the ledger many times. What it has read it asks for again only when it was changed.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}/")
    found = sorted((one["Key"], one["ETag"]) for page in pages for one in page.get("Contents", []))
    wanted = found if last is None else found[-last:]
    return [_KNOWN.get((bucket, key, etag)) or _fetched(s3, bucket, key) for key, etag in wanted]


def verify(chain: list[Record]) -> str | None:
    """Which record breaks the chain and how; None when it is whole.

    Not covered: a last record that was changed or taken away, as nothing after it says its hash.
    """
    before = FIRST
    for number, record in enumerate(chain, start=1):
        if record.seq != number:
            return f"record {number} is missing: number {record.seq} stands in its place"
        if record.previous_hash != before:
            return f"record {number} does not follow record {number - 1}: one of them was changed"
        before = record.hash
    return None


def _key(folder: str, seq: int) -> str:
    return f"{folder}/{seq:08d}.json"


def _fetched(s3: "S3Client", bucket: str, key: str) -> Record:
    found = s3.get_object(Bucket=bucket, Key=key)
    told = json.loads(found["Body"].read())
    record = Record(told["seq"], told["previous_hash"], Entry(**told["entry"]))
    _KNOWN[bucket, key, found["ETag"]] = record
    return record
