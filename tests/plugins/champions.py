"""The fixtures `released` and `two`: former champions in journal, ledger, registry and the room."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

FIRST = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)


@pytest.fixture
def released(shelf: Any, room: Any) -> Callable[..., Any]:
    """Make a version champion as a deploy leaves it, a minute after the one before."""
    from plugins.releases import MODEL

    from tasks.adapters import aws, journal, ledger, registry
    from tasks.policy import releases
    from tasks.records import Entry, Served

    folder, s3 = f"releases/{shelf.environment}/news", aws.client("s3")

    def release(seed: int, **more: Any) -> Served:
        version = shelf.version(seed=seed, **more)
        found = registry.get_version(registry.client(shelf.mlflow), MODEL, version)
        served = Served(version, found.bundle_uri, found.bundle_digest, "ec2")
        claim = releases.claimed(shelf.journal(), "news", shelf.environment, served, "a test")
        journal.write(s3, shelf.bucket, f"{folder}/journal.json", releases.committed(claim))
        at = (FIRST + timedelta(minutes=len(shelf.ledger()))).isoformat()
        evidence = {"bundle": served.bundle_digest, "uri": served.bundle_uri, "target": "ec2"}
        entry = Entry(at, "a test", "released", "news", version, "", claim.op_id, evidence)
        ledger.append(s3, shelf.bucket, f"{folder}/ledger", entry)
        room.running[version], room.public = served, version
        return served

    return release


@pytest.fixture
def two(released: Callable[..., Any]) -> tuple[Any, Any]:
    """The first served well, though its verdict would not let it out today; the second serves."""
    return released(1, outcome="FAIL"), released(2)
