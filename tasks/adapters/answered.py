"""What two versions answer, read from the prediction log while it grows.

A file of the log is never changed once it is there, so each is read once.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from botocore.exceptions import BotoCoreError, ClientError
from numpy.typing import NDArray

from tasks.adapters import log_files
from tasks.adapters.log_files import Found
from tasks.draws import fingerprints
from tasks.errors import MonitorBroken
from training import capture

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_COLUMNS = ("request_id", "timestamp", "bundle_digest", "label", "confidence", "text")
_MOST = 200_000  # rows that are held: more would not change what is concluded
# One answer of each request is taken: all texts of a request go to one side.
_LATER = r"\.[1-9][0-9]*$"
_SCHEMA = pa.schema(
    [
        ("at_ms", pa.int64()),
        ("new", pa.bool_()),
        ("label", pa.string()),
        ("confidence", pa.float64()),
        ("text", pa.uint64()),
    ]
)


class Answers:
    """The answers of two bundles to callers since a moment."""

    def __init__(
        self, s3: "S3Client", bucket: str, classifier: str, since: datetime, new: str, old: str
    ) -> None:
        """`new`, `old`: the digests of the bundles."""
        self._s3, self._bucket, self._classifier = s3, bucket, classifier
        self._since, self._new, self._old = since, new, old
        self._read: set[str] = set()
        self._rows = _SCHEMA.empty_table()

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Of the answers up to now: milliseconds, whether the new bundle's, label, confidence, and
        a number for the text. MonitorBroken names the log when it cannot be read."""
        try:
            self._go_on()
        except (pa.ArrowException, BotoCoreError, ClientError, KeyError, OSError) as error:
            where = f"s3://{self._bucket}/{capture.prefix('prediction', self._classifier)}"
            raise MonitorBroken(f"the prediction log {where} cannot be read: {error}") from error
        return tuple(one.to_numpy() for one in self._rows.columns)

    def _go_on(self) -> None:
        if len(self._rows) >= _MOST:
            return
        listed = log_files.listed(
            self._s3, self._bucket, "prediction", self._classifier, self._since
        )
        fresh = [one for one in listed if one.key not in self._read]
        for key, rows in log_files.each(self._of_file, fresh):
            self._rows = pa.concat_tables([self._rows, rows])
            self._read.add(key)

    def _of_file(self, found: Found) -> tuple[str, pa.Table]:
        with log_files.opened(self._s3, self._bucket, *found) as file:
            rows = file.read(list(_COLUMNS))
        return found.key, self._wanted(rows)

    def _wanted(self, rows: pa.Table) -> pa.Table:
        digests, at = rows["bundle_digest"].cast(pa.string()), rows["timestamp"]
        ours = pc.is_in(digests, value_set=pa.array([self._new, self._old]))
        ours = pc.and_(ours, pc.greater_equal(at, pa.scalar(self._since, at.type)))
        ours = pc.and_not(ours, pc.match_substring_regex(rows["request_id"], _LATER))
        texts = rows["text"].filter(ours).combine_chunks()
        columns = [
            at.filter(ours).cast(pa.int64()),
            pc.equal(digests.filter(ours), self._new),
            rows["label"].filter(ours),
            rows["confidence"].filter(ours).cast(pa.float64()),
            pa.array(fingerprints(texts), pa.uint64()),
        ]
        return pa.table(columns, schema=_SCHEMA)
