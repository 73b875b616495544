"""What callers' labels say of the versions that answered: how often they were right, how surely.

A label finds its answer by the request's id, whatever its age; the last label of a request counts.
The interval is Wilson's (1927). It holds for one look; a check looks every hour. So `below` asks
the test of tasks/policy/sequential as well, which stays right however often one looks: of versions
exactly at the threshold, looked at after each of 30 to 720 labels, the interval alone accuses one
in five, both together less than 3 %; one that is 9 points below is found by 114 labels in half of
4,000 simulated cases, by 340 in 95 %.

Not covered: callers who label what was wrong more often than what was right. Ask for labels of
answers drawn by lot, or of all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from math import floor

from tasks.policy.comparison import Z
from tasks.policy.intervals import Interval, wilson
from tasks.policy.sequential import p_above

# Fewer say too little even if all of them are wrong: those who complain are the first to write.
MINIMUM = 30
MOST = 200_000
_ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """What the prediction log says of one text; `text` is empty where it was not asked for."""

    request_id: str
    version: str
    bundle_digest: str
    label: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer and what it should have been, as said at `at`."""

    answer: Answer
    label: str
    at: datetime


@dataclass(frozen=True, slots=True)
class OfClass:
    """The answers to texts of one class, by their label."""

    labelled: int
    right: int


@dataclass(frozen=True, slots=True)
class VersionAccuracy:
    """How often one version was right, among its answers that were labelled."""

    version: str
    bundle_digest: str
    labelled: int
    right: int
    interval: Interval
    classes: dict[str, OfClass]

    @property
    def accuracy(self) -> float:
        return self.right / self.labelled

    def below(self, threshold: float, minimum: int = MINIMUM) -> bool:
        """Whether the accuracy is below the threshold beyond doubt, at whichever look this is."""
        if self.labelled < minimum or self.interval[1] >= threshold:
            return False
        return bool(p_above(self.labelled - self.right, self.labelled, 1 - threshold) < _ALPHA)

    def told(self) -> str:
        low, high = self.interval
        return (
            f"{self.accuracy:.1%} of {self.labelled:,} labelled answers of version {self.version}"
            f" are right (95 % interval {low:.1%} to {high:.1%})"
        )


@dataclass(frozen=True, slots=True)
class FeedbackAccuracy:
    """The labels of the answers given between `since` and `until`, version by version.

    `unknown` labels have no answer in the log, `ambiguous` ones several. Where `share` is below 1
    there were too many labels to hold: it is the share of the requests that was looked at.
    """

    since: datetime
    until: datetime
    versions: tuple[VersionAccuracy, ...]
    unknown: int = 0
    ambiguous: int = 0
    share: float = 1.0

    def of(self, bundle_digest: str) -> VersionAccuracy | None:
        """None when no answer of this bundle was labelled."""
        return next((one for one in self.versions if one.bundle_digest == bundle_digest), None)


class Labels:
    """The last label of each request, in whatever order they come.

    Past `most` requests only a share of them is held, drawn by hash: all labels of a request stay
    or go, and the same requests always give the same share.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._halvings = 0
        self._last: dict[str, tuple[datetime, str]] = {}

    def add(self, request_id: str, at: datetime, label: str) -> None:
        """Of labels said at the same moment the one that is added last stays."""
        if self._halvings and not self._held(request_id):
            return
        known = self._last.get(request_id)
        if known is None or at >= known[0]:
            self._last[request_id] = at, label
        while len(self._last) > self._most:
            self._halvings += 1
            self._last = {name: last for name, last in self._last.items() if self._held(name)}

    def _held(self, request_id: str) -> bool:
        place = int.from_bytes(blake2b(request_id.encode(), digest_size=8).digest())
        return place >> (64 - self._halvings) == 0

    @property
    def share(self) -> float:
        return 0.5**self._halvings

    @property
    def requests(self) -> list[str]:
        return list(self._last)

    def of(self, request_id: str) -> tuple[datetime, str] | None:
        return self._last.get(request_id)

    def __len__(self) -> int:
        return len(self._last)


@dataclass(slots=True)
class Joined:
    """Labels beside their answers, and the labels that cannot be used."""

    rows: list[Labelled] = field(default_factory=list)
    unknown: int = 0
    ambiguous: int = 0
    share: float = 1.0


def join(labels: Labels, answers: Iterable[Answer]) -> Joined:
    """Each labelled answer once, in the order of the labels.

    An id that callers used for several different requests is ambiguous: which of them the label
    is about, nobody knows. The same answer logged twice is one.
    """
    found: dict[str, Answer | None] = {}
    for answer in answers:
        name = answer.request_id
        if labels.of(name) is not None and found.setdefault(name, answer) != answer:
            found[name] = None
    rows = [
        Labelled(answer, label, at)
        for name, answer in found.items()
        if answer and (last := labels.of(name))
        for at, label in [last]
    ]
    return Joined(
        rows=sorted(rows, key=lambda row: (row.at, row.answer.request_id)),
        unknown=len(labels) - len(found),
        ambiguous=sum(answer is None for answer in found.values()),
        share=labels.share,
    )


def accuracy(joined: Joined, since: datetime, until: datetime) -> FeedbackAccuracy:
    """The versions with the most labels first."""
    by_bundle: dict[tuple[str, str], list[Labelled]] = {}
    for row in joined.rows:
        by_bundle.setdefault((row.answer.version, row.answer.bundle_digest), []).append(row)
    versions = [_version(*bundle, rows) for bundle, rows in by_bundle.items()]
    versions.sort(key=lambda one: (-one.labelled, one.version, one.bundle_digest))
    return FeedbackAccuracy(
        since, until, tuple(versions), joined.unknown, joined.ambiguous, joined.share
    )


def _version(version: str, digest: str, rows: list[Labelled]) -> VersionAccuracy:
    counts: dict[str, tuple[int, int]] = {}
    for row in rows:
        labelled, right = counts.get(row.label, (0, 0))
        counts[row.label] = labelled + 1, right + (row.answer.label == row.label)
    right = sum(right for _, right in counts.values())
    return VersionAccuracy(
        version=version,
        bundle_digest=digest,
        labelled=len(rows),
        right=right,
        interval=wilson(right, len(rows)),
        classes={label: OfClass(*counts[label]) for label in sorted(counts)},
    )


def labels_needed(threshold: float, gap: float = 0.05) -> int:
    """How many labels show an accuracy that is `gap` below the threshold, when they are seen so.

    Wilson's interval is the inverse of the score test, so it leaves the threshold out as soon as
    n > z**2 t (1 - t) / gap**2.
    """
    return max(floor(Z**2 * threshold * (1 - threshold) / gap**2) + 1, MINIMUM)


def judged(
    found: VersionAccuracy | None, threshold: float, minimum: int = MINIMUM
) -> tuple[bool, str]:
    """Whether the accuracy is below the threshold for certain, and why or why not, in words."""
    needed = labels_needed(threshold)
    short = f"about {needed} labels would show an accuracy 5 points below {threshold:.1%}"
    if found is None:
        return False, f"no answer was labelled; {short}"
    if found.below(threshold, minimum):
        return True, f"{found.told()}: below {threshold:.1%}"
    if found.labelled < needed and found.interval[0] < threshold:
        return False, f"{found.told()}: not shown to be below {threshold:.1%}; {short}"
    return False, f"{found.told()}: not shown to be below {threshold:.1%}"


def last_of_each_text(rows: Iterable[Labelled]) -> Iterator[Labelled]:
    """One row for each text: what was said of it last."""
    last = {row.answer.text.strip(): row for row in rows}
    yield from last.values()
