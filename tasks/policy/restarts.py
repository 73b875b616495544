"""Whether a run that crashed is run again."""

from enum import StrEnum

# Not deploy and rollback: the journal says what their release needs. Not reconcile and health:
# the next one comes by itself.
FLOWS = ("drift-check", "evaluate", "ingest", "pipeline", "train", "tune")
RELEASING = ("deploy", "rollback")
TIMES = 2


class After(StrEnum):
    """TELL: what crashed so often would crash again."""

    AGAIN = "again"
    TELL = "tell"
    LEAVE = "leave"


def after_crash(crashes: int, kept: bool) -> After:
    """What follows.

    Args:
        crashes: How often this run crashed, this time included.
        kept: Whether it is the try of a request in S3, which outlives it and is tried again.
    """
    if kept:
        return After.LEAVE
    return After.AGAIN if crashes <= TIMES else After.TELL
