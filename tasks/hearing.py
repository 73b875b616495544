"""What both versions of a rollout answer: to callers, by the prediction log, and to probes."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tasks.adapters import aws
from tasks.adapters.answered import Answers
from tasks.errors import MonitorBroken
from tasks.policy import heard
from tasks.policy.canary import Finding, Limits
from tasks.policy.heard import Both, Logged
from tasks.records import Outcome, Place, Served
from tasks.smoke import GoldenTexts
from tasks.targets import Session

_PROBES_AT_ONCE = 4
_LATE_S = 60  # beyond the time that the log may take


@dataclass(slots=True)
class Callers:
    """What callers heard of both versions since a moment, by the prediction log."""

    place: Place
    new: Served
    old: Served
    labels: tuple[str, ...]
    since: datetime
    log: Answers = field(init=False)

    def __post_init__(self) -> None:
        bucket = self.place.capture_uri.removeprefix("s3://").partition("/")[0]
        digests = (self.new.bundle_digest, self.old.bundle_digest)
        self.log = Answers(aws.client("s3"), bucket, self.place.classifier, self.since, *digests)

    def judged(self, limits: Limits) -> tuple[Both | None, Finding]:
        """Both versions and what they show, with what makes the log tell less than all."""
        if not self.place.capture_uri:
            return None, _silent("the prediction log is off")
        if self.new.bundle_digest == self.old.bundle_digest:
            return None, _silent("both versions run the same bundle")
        try:
            logged = Logged(*self.log.columns())
        except MonitorBroken as error:
            return None, _silent(str(error)[:300])
        both = heard.counted(logged, self.labels)
        finding = heard.judge(both, limits)
        if finding.outcome is Outcome.FAIL:
            return both, finding
        return both, replace(finding, reasons=(*finding.reasons, *self._doubts(both)))

    def _doubts(self, both: Both) -> Iterator[str]:
        if self.place.capture_percent < 100:
            yield f"only {self.place.capture_percent:g} % of the requests are logged"
        if both.until_ms is not None:
            late_s = datetime.now(UTC).timestamp() - both.until_ms / 1000
            if late_s > 2 * self.place.capture_seconds + _LATE_S:
                yield f"the prediction log of one version ends {late_s / 60:.0f} minutes ago"


def _silent(why: str) -> Finding:
    return Finding(Outcome.INCONCLUSIVE, (f"answers to callers are not compared: {why}",), {})


def probe(
    sessions: Sequence[Session], texts: GoldenTexts, count: int
) -> tuple[tuple[str, str, str], ...]:
    """Ask each side `count` texts; (label, new's answer, old's answer) of each text once.

    Nothing to compare comes of one side alone, where the texts only stand in for callers.
    """
    rows = [texts[at % len(texts)] for at in range(count)]
    told = [_answers(session, [text for text, _ in rows]) for session in sessions]
    if len(told) == 1:
        return ()
    pairs = zip(rows, *told, strict=True)
    once = {text: (label, new, old) for (text, label), new, old in pairs if new and old}
    return tuple(once.values())


def _answers(opened: Session, texts: Sequence[str]) -> list[str]:
    """The labels that one side gives the texts, empty where it gave none."""
    with opened as session, ThreadPoolExecutor(_PROBES_AT_ONCE) as pool:
        told = list(pool.map(lambda text: session.ask({"text": text}), texts))
    return [json.loads(one.body).get("prediction", "") if one.status == 200 else "" for one in told]
