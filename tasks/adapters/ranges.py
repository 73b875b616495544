"""An S3 object as a file of which only the parts that are asked for are fetched."""

import io
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

_WHOLE = 4 * 2**20  # up to here one request is quicker than several


def opened(s3: "S3Client", bucket: str, key: str, size: int) -> IO[bytes]:
    """The object of so many bytes, to read from anywhere in it."""
    if size <= _WHOLE:
        return io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return io.BufferedReader(_Ranges(s3, bucket, key, size), 2**16)


class _Ranges(io.RawIOBase):
    def __init__(self, s3: "S3Client", bucket: str, key: str, size: int) -> None:
        self._s3, self._bucket, self._key, self._size = s3, bucket, key, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        place = memoryview(buffer).cast("B")
        end = min(self._at + len(place), self._size)
        if end <= self._at:
            return 0
        asked = f"bytes={self._at}-{end - 1}"
        found = self._s3.get_object(Bucket=self._bucket, Key=self._key, Range=asked)["Body"].read()
        place[: len(found)] = found
        self._at += len(found)
        return len(found)
