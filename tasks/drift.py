"""Steps that tell whether callers ask what the serving version was tested on."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from pydantic import TypeAdapter

from tasks import releases
from tasks.adapters import aws, checks
from tasks.drift_policy import Drift
from tasks.drift_records import Checked, DriftOutcome, DriftVerdict
from tasks.drift_window import Window
from tasks.errors import MonitorBroken
from tasks.policy import names
from tasks.policy.drift import decide
from tasks.policy.feedback import VersionAccuracy
from tasks.policy.novelty import most_novel
from tasks.policy.signals import Features
from tasks.policy.terms import new_terms
from tasks.records import Place, Served
from tasks.retries import live
from training.redaction import redact

log = logging.getLogger(__name__)

_VERDICT = TypeAdapter(DriftVerdict)
_TREND = 60  # checks: two days and a half of one an hour


@dataclass(frozen=True, slots=True)
class Check:
    """Which answers are checked, the newest `rows` of them if not 0, and where that is kept."""

    about: Checked
    rows: int
    bucket: str
    folder: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.folder}"

    @property
    def verdict_uri(self) -> str:
        return f"{self.uri}/{checks.VERDICT}"

    @property
    def name(self) -> str:
        return self.folder.rsplit("/", 1)[1]


class Sides:
    """What is compared. No dataclass: Prefect would walk through every text of it at each step."""

    __slots__ = ("reference", "window")

    def __init__(self, reference: Features, window: Features) -> None:
        self.reference, self.window = reference, window


@live
def find_served(place: Place) -> Served | None:
    """What the journal says is live."""
    release = releases.read_release.fn(place)
    return release.champion if release else None


def choose(place: Place, served: Served | None, policy: Drift, window: Window) -> Check:
    """The same window of the same version is the same check, whoever asks for it and how often.

    A run that is started again is due when it was: it looks at the same window.
    """
    since, until = window.span(flow_run.scheduled_start_time, policy.window_hours)
    version, digest = (served.version, served.bundle_digest) if served else ("", "")
    about = Checked(place.classifier, version, digest, since, until)
    rows = policy.window_rows if window.rows is None else window.rows
    told = {"since": since.timestamp(), "rows": rows, "bundle": digest}
    folder = checks.folder(place.classifier, until, names.digest(told))
    return Check(about, rows, place.models_bucket, folder)


def nothing_serves(check: Check) -> DriftVerdict:
    """Nobody is answered, so nothing can have drifted."""
    name = check.about.classifier
    reason = f"nothing serves {name}: prefect deployment run 'pipeline/{name}' releases a version"
    return DriftVerdict(DriftOutcome.NO_DATA, check.about, 0, 0, 0, reasons=(reason,))


@live
def find_verdict(check: Check) -> DriftVerdict | None:
    """What this very check came to before."""
    found = checks.find(aws.client("s3"), check.bucket, check.folder)
    return _VERDICT.validate_json(found) if found else None


@live
def read_trend(check: Check) -> tuple[DriftVerdict, ...]:
    """The verdicts before this one, in the order of their windows."""
    about = check.about
    found = checks.before(
        aws.client("s3"), check.bucket, about.classifier, about.until, most=_TREND
    )
    return tuple(map(_VERDICT.validate_json, found))


@task(cache_policy=NO_CACHE)
def judge(
    check: Check,
    policy: Drift,
    sides: Sides,
    before: Sequence[DriftVerdict],
    feedback: VersionAccuracy | None,
) -> DriftVerdict:
    """The verdict with the words and texts that are new; MonitorBroken when it is ERROR."""
    reference, window = sides.reference, sides.window
    verdict = decide(reference, window, policy, check.about, before, feedback)
    if verdict.outcome is DriftOutcome.ERROR:
        raise MonitorBroken(f"{check.name}: {'; '.join(verdict.reasons)}")
    if verdict.outcome is DriftOutcome.NO_DATA:
        return verdict
    words = new_terms(
        reference.terms, window.terms, reference_total=reference.total, total=len(window)
    )
    # Masked whatever the log keeps: more people read the page than may read the log.
    novel = tuple(redact(text, "mask") for text in most_novel(reference, window))
    return replace(verdict, new_terms=tuple(one.word for one in words), novel=novel)


@live
def record_verdict(check: Check, verdict: DriftVerdict) -> None:
    """Write it last of all: with its verdict the check is done.

    NO_DATA is none: the same window is looked at again when somebody asks, for rows that came late.
    """
    s3, body = aws.client("s3"), _VERDICT.dump_json(verdict, indent=1)
    if verdict.outcome is DriftOutcome.NO_DATA:
        checks.note_no_data(s3, check.bucket, check.folder, body)
    else:
        checks.conclude(s3, check.bucket, check.folder, body)
