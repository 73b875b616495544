"""API keys: `python -m serving.keys new --id alice` makes one; a server holds only their hashes.

A key is 32 random bytes, so its SHA-256 says nothing about it: a slow hash, made for passwords,
would protect no better and would delay every request.
"""

import argparse
import hashlib
import hmac
import json
import secrets
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

PREFIX = "perennial-"
Class = Literal["standard", "load-test"]


class BadKeys(Exception):
    """A document of keys that cannot be used; the message says why, without its content."""


class StoredKey(BaseModel):
    """What is kept of one key. Several of one `id` are alive at once while it is rotated."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    key: str = Field(pattern=r"^[0-9a-f]{12}$", description="which key; may be told")
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$", description="whose")
    kind: Class = Field("standard", alias="class")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    not_after: AwareDatetime | None = None


class KeyDocument(BaseModel):
    """The content of API_KEYS_FILE or of the secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    keys: tuple[StoredKey, ...]


class Keyring:
    """The keys that are accepted, found by their public part."""

    def __init__(self, stored: Iterable[StoredKey]) -> None:
        self._stored = {
            f"{PREFIX}{one.key}".encode(): (
                bytes.fromhex(one.sha256),
                one.not_after.timestamp() if one.not_after else float("inf"),
                one,
            )
            for one in stored
        }

    def find(self, presented: bytes) -> StoredKey | None:
        """Whose key this is; None for every other."""
        digest = hashlib.sha256(presented).digest()
        found = self._stored.get(presented.partition(b".")[0])
        if found is None:
            return None
        expected, not_after, stored = found
        if not hmac.compare_digest(digest, expected) or time.time() >= not_after:
            return None
        return stored

    @property
    def live(self) -> int:
        """How many keys have not ended."""
        return sum(time.time() < not_after for _, not_after, _ in self._stored.values())


def read(document: bytes) -> Keyring:
    """The keyring of a document, or BadKeys."""
    if not document.strip():
        raise BadKeys("is empty")
    try:
        keys = KeyDocument.model_validate_json(document).keys
    except ValidationError as error:
        problem = error.errors(include_input=False, include_context=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise BadKeys(f"is not a document of keys: {where} {problem['msg']}".strip()) from None
    if len({one.key for one in keys}) < len(keys):
        raise BadKeys("names a key twice")
    return Keyring(keys)


def make(caller: str, kind: Class = "standard", days: int | None = None) -> tuple[str, StoredKey]:
    """A new key, which nobody can show again, and what is to be stored of it."""
    name = secrets.token_hex(6)
    key = f"{PREFIX}{name}.{secrets.token_urlsafe(32)}"
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days) if days else None
    digest = hashlib.sha256(key.encode()).hexdigest()
    return key, StoredKey(key=name, id=caller, kind=kind, sha256=digest, not_after=end)


def document(stored: Iterable[StoredKey]) -> str:
    """What a file or a secret holds for these keys."""
    dumped = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in stored]
    return json.dumps({"keys": dumped}, indent=1)


def main() -> int:
    """Print a new key once, and on standard output the document that stores it."""
    parser = argparse.ArgumentParser(prog="python -m serving.keys")
    new = parser.add_subparsers(required=True, metavar="new").add_parser("new", help="make a key")
    new.add_argument("--id", required=True, help="whose key it is; the audit log names it")
    new.add_argument("--class", dest="kind", choices=["standard", "load-test"], default="standard")
    new.add_argument("--days", type=int, help="how long it is accepted; without it, for ever")
    given = parser.parse_args()
    try:
        key, stored = make(given.id, given.kind, given.days)
    except ValidationError as error:
        parser.error(f"--id {given.id}: {error.errors()[0]['msg']}")
    sys.stderr.write(f"the key, shown only now: {key}\nstore this, it is no secret:\n")
    sys.stdout.write(f"{document([stored])}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
