"""Names that follow from what is asked for: the same inputs, the same name, on every machine."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

LONGEST = 63
ATTEMPTS = 5
_HASH = 12


def digest(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of the inputs; the order of keys does not matter."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def aws_name(prefix: str, classifier: str, kind: str, digest: str, attempt: int = 1) -> str:
    """`{prefix}-{classifier}-{kind}-{hash12}`, with `-a2` for the second attempt; fits SageMaker.

    A front that is too long is cut; the hash, which tells names apart, never is.
    """
    tail = digest[:_HASH] + (f"-a{attempt}" if attempt > 1 else "")
    front = f"{prefix}-{classifier}-{kind}"[: LONGEST - len(tail) - 1]
    return f"{front.rstrip('-')}-{tail}"


def attempts(prefix: str, classifier: str, kind: str, digest: str) -> tuple[str, ...]:
    """The names a job may have: the first, and one for every start after a failure."""
    return tuple(
        aws_name(prefix, classifier, kind, digest, attempt) for attempt in range(1, ATTEMPTS + 1)
    )
