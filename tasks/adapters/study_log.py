"""Optuna's journal in S3: one object for each entry, written once, never overwritten."""

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from optuna.storages.journal import BaseJournalBackend

from tasks.adapters import objects
from tasks.errors import Conflict

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TRIES = 100
_READERS = 8
_LATER_S = 0.05


class StudyLog(BaseJournalBackend):
    """A log that several processes extend: entry n is the object that was first to be called n.

    A writer that comes second reads what came before it and takes the next number, so that all
    see the same entries in the same order, without a lock and without a server.
    """

    def __init__(self, s3: "S3Client", bucket: str, folder: str) -> None:
        self._s3, self._bucket, self._folder = s3, bucket, folder
        self._entries: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        self._catch_up()
        return [entry["log"] for entry in self._entries[log_number_from:]]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        for log in logs:
            self._append(log)

    def _append(self, log: dict[str, Any]) -> None:
        mark = uuid4().hex
        body = json.dumps({"id": mark, "log": log}).encode()
        for _ in range(_TRIES):
            known = len(self._entries)
            if objects.write(self._s3, self._bucket, self._key(known), body):
                self._entries.append(json.loads(body))
                return
            self._catch_up()
            # A write whose answer was lost, and which botocore sent again, meets itself.
            if any(entry["id"] == mark for entry in self._entries[known:]):
                return
            if len(self._entries) == known:
                time.sleep(_LATER_S)
        raise Conflict(
            f"s3://{self._bucket}/{self._folder}: {_TRIES} times somebody else wrote the next entry"
            " first; who runs this study? Start the flow again once they are done"
        )

    def _catch_up(self) -> None:
        after = self._key(len(self._entries) - 1) if self._entries else f"{self._folder}/"
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._folder}/", StartAfter=after
        )
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        for number, key in enumerate(keys, start=len(self._entries)):
            if key != self._key(number):
                raise Conflict(f"s3://{self._bucket}/{key}: entry {number} before it is missing")
        if len(keys) == 1:
            self._entries.append(self._get(keys[0]))
        elif keys:
            with ThreadPoolExecutor(_READERS) as readers:
                self._entries += readers.map(self._get, keys)

    def _get(self, key: str) -> dict[str, Any]:
        found = self._s3.get_object(Bucket=self._bucket, Key=key)
        entry: dict[str, Any] = json.loads(found["Body"].read())
        return entry

    def _key(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.json"
