"""The step that asks a staged version what callers have asked before; they notice nothing of it."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from tasks import releases
from tasks.adapters import aws, predictions
from tasks.drift_records import Checked
from tasks.errors import GateFailed
from tasks.policy import replay as policy
from tasks.policy.canary import Finding, Limits
from tasks.policy.replay import Replayed
from tasks.records import Outcome, Place, Release, Served
from tasks.retries import live
from tasks.smoke import GoldenTexts
from tasks.strategy import Rollout
from tasks.targets import TARGETS, Session
from training.redaction import CARD, EMAIL, PHONE

log = logging.getLogger(__name__)

_HOURS = 24
_SPARE = 5  # rows read for each one wanted: callers ask some texts again and again
_CHUNK = 10  # requests between two looks at the numbers
_LEASE_MINUTES = 15.0  # a chunk of answers that take a minute each, and some
_AT_ONCE = 8


@live(task_run_name="replay logged requests to version {wanted.version}")
def replay(
    place: Place,
    release: Release,
    wanted: Served,
    plan: Rollout,
    golden: GoldenTexts,
    slow_ms: float,
    least: float,
) -> tuple[Release, str]:
    """Ask the staged version what its champion was asked; GateFailed unless the finding is PASS.

    `min_requests` texts, those of the test split where the log holds fewer. Gives the journal as
    it stands, for each look renews the lease: Conflict when another run took the release over.
    """
    limits = Limits(plan.max_error_rate, min_requests=plan.min_requests, steps=1)
    logged = _logged(place, release, plan.min_requests)
    rows = _filled(logged, golden, plan.min_requests)
    asked: list[Replayed] = []
    finding = policy.judge(asked, wanted, slow_ms, least, limits)
    with TARGETS[place.target].session(aws.client, place, wanted, release.op_id, "new") as session:
        for start in range(0, len(rows), _CHUNK):
            release = releases.renew_release.fn(place, release, _LEASE_MINUTES)
            asked += _ask(session, rows[start : start + _CHUNK], place.max_concurrency)
            finding = policy.judge(asked, wanted, slow_ms, least, limits)
            if finding.outcome is Outcome.FAIL:
                break
    told = _told(finding, len(asked), len(logged))
    log.info("version %s: %s", wanted.version, told)
    if finding.outcome is not Outcome.PASS:
        raise GateFailed(f"replay to version {wanted.version}", (told,))
    return release, told


def _logged(place: Place, release: Release, count: int) -> dict[str, str]:
    """Texts of the last hours with the champion's label, each text once; a sample of so many.

    What was redacted is not what the champion was asked, so it is left out.
    """
    champion, now = release.champion, datetime.now(UTC)
    if champion is None or not place.capture_uri or place.capture_text == "hash":
        return {}
    since = now - timedelta(hours=_HOURS)
    about = Checked(place.classifier, champion.version, champion.bundle_digest, since, now)
    s3, bucket = aws.client("s3"), place.capture_uri.removeprefix("s3://").split("/")[0]
    chosen = predictions.select(s3, bucket, about, _SPARE * count)
    found = {
        row["text"]: row["label"]
        for batch in predictions.read(s3, chosen, ("text", "label"))
        for row in batch.to_pylist()
        if not any(mark in row["text"] for mark in (EMAIL, PHONE, CARD))
    }
    return dict(list(found.items())[:count])


def _filled(logged: dict[str, str], golden: GoldenTexts, count: int) -> list[tuple[str, str]]:
    """So many texts, with the champion's label where it is known."""
    spare = [(text, "") for text, _ in golden if text not in logged] or list(logged.items())
    missing = max(0, count - len(logged)) if spare else 0
    return [*logged.items(), *(spare[at % len(spare)] for at in range(missing))]


def _ask(session: Session, rows: list[tuple[str, str]], at_once: int) -> list[Replayed]:
    with ThreadPoolExecutor(min(at_once, _AT_ONCE)) as pool:
        answers = list(pool.map(lambda row: session.ask({"text": row[0]}), rows))
    return [Replayed(label, answer) for (_, label), answer in zip(rows, answers, strict=True)]


def _told(finding: Finding, asked: int, logged: int) -> str:
    known = min(asked, logged)
    return (
        f"{finding.outcome} after {known} logged requests of the last {_HOURS} hours and "
        f"{asked - known} texts of the test split: {'; '.join(finding.reasons)}"
    )
