"""What a release writes in S3 and MLflow can be put back as it was: `keep` gives what does that."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PutBack = Callable[[], None]

_TABLES = ("registered_model_aliases", "model_version_tags")


@dataclass
class Folder:
    """The objects of one environment; what was read once is not read again."""

    s3: Any
    bucket: str
    prefix: str
    bodies: dict[str, bytes] = field(default_factory=dict)  # by ETag

    def keep(self) -> PutBack:
        held = self._listed()
        for key in [key for key, tag in held.items() if tag not in self.bodies]:
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            self.bodies[held[key]] = body
        return lambda: self._put_back(held)

    def _put_back(self, held: dict[str, str]) -> None:
        now = self._listed()
        for key in [key for key, tag in held.items() if now.get(key) != tag]:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=self.bodies[held[key]])
        if new := [{"Key": key} for key in now.keys() - held.keys()]:
            self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": new})

    def _listed(self) -> dict[str, str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix)
        return {one["Key"]: one["ETag"] for one in found.get("Contents", ())}


@dataclass
class Rows:
    """Aliases and tags in MLflow's database: through its server they are a dozen requests."""

    database: Path

    def keep(self) -> PutBack:
        with closing(sqlite3.connect(self.database)) as there:
            held = _read(there)
        return lambda: self._put_back(held)

    def _put_back(self, held: dict[str, list[Any]]) -> None:
        with closing(sqlite3.connect(self.database)) as there, there:
            now = _read(there)
            for table in [table for table, rows in held.items() if rows != now[table]]:
                there.execute(f"DELETE FROM {table}")
                marks = ", ".join("?" * len((held[table] or now[table])[0]))
                there.executemany(f"INSERT INTO {table} VALUES ({marks})", held[table])


def _read(there: sqlite3.Connection) -> dict[str, list[Any]]:
    return {table: there.execute(f"SELECT * FROM {table}").fetchall() for table in _TABLES}
