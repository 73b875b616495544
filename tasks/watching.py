"""One step of a rollout while it is looked at, again and again: how do both versions do?"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tasks import hearing, releases
from tasks.adapters import aws
from tasks.errors import DeployFailed, GateFailed
from tasks.hearing import Callers
from tasks.policy import canary, rollout_page
from tasks.policy.canary import Finding, Limits
from tasks.policy.heard import Both
from tasks.policy.watch import Look, Move, Watched, next_move
from tasks.records import Arm, Outcome, Place, Release, Served
from tasks.retries import may_pass
from tasks.smoke import GoldenTexts
from tasks.strategy import Rollout, Step
from tasks.targets import TARGETS, Clients, Side, Target

log = logging.getLogger(__name__)

_LOOKS_A_STEP = 20
_LONGEST_PAUSE_S = 30.0
_LEASE_MINUTES = 10.0  # a holder that says nothing for so long is taken for dead
_ENDS = frozenset({Move.GO_ON, Move.TAKE_ALL})
_FAILS = frozenset({Move.GO_BACK, Move.GIVE_UP})


def follow(watch: "Watch", tell: Callable[[Look], None]) -> None:
    """Look until the step may end; GateFailed when it must go back or nobody can say."""
    while (move := watch.look()) not in _ENDS:
        last = watch.looks[-1]
        tell(last)
        if move in _FAILS:
            raise GateFailed(rollout_page.headline(last), watch.reasons)
        watch.act(move)
        time.sleep(min(_LONGEST_PAUSE_S, 60 * watch.step.minutes / _LOOKS_A_STEP))
    tell(watch.looks[-1])


@dataclass(slots=True)
class Watch:
    """One step while it is looked at; `seen` is what its next move depends on."""

    place: Place
    release: Release
    wanted: Served
    step: Step
    plan: Rollout
    texts: GoldenTexts
    looks: list[Look]
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = field(default_factory=time.monotonic)
    seen: Watched = field(default_factory=lambda: Watched(0, Outcome.INCONCLUSIVE))
    asked: tuple[tuple[str, str, str], ...] = ()
    offset: float = field(init=False)
    callers: Callers | None = field(init=False)

    def __post_init__(self) -> None:
        self.offset = self.looks[-1].minutes if self.looks else 0.0
        self.callers = self.listening()

    @property
    def target(self) -> Target:
        return TARGETS[self.place.target]

    @property
    def where(self) -> tuple[Clients, Place, Served, str]:
        """What every question to the target begins with."""
        return aws.client, self.place, self.wanted, self.release.op_id

    @property
    def limits(self) -> Limits:
        return Limits(
            max_error_rate=self.plan.max_error_rate,
            min_requests=self.plan.min_requests,
            max_answer_shift=self.plan.max_answer_shift,
            steps=len(self.plan.watched) + 1,
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the last move was made; a side that is down is a reason of its own."""
        sick = (f"version {self.wanted.version} is not healthy",) if self.seen.new_down else ()
        return sick + self.looks[-1].finding.reasons

    def listening(self) -> Callers | None:
        """To what callers hear from now on; None where the old version answers nobody."""
        old, plan = self.release.champion, self.plan
        if old is None or self.step.percent == 100 or plan.max_answer_shift == 1:
            return None
        labels = tuple({label for _, label in self.texts})
        return Callers(self.place, self.wanted, old, labels, self.since)

    def look(self) -> Move:
        """Renew the lease, read both sides, judge them, and say what to do."""
        self.release = releases.renew_release.fn(self.place, self.release, _LEASE_MINUTES)
        new, old, finding = self.found()
        heard, finding = self.with_answers(finding)
        minutes = (time.monotonic() - self.begun) / 60
        self.seen = replace(
            self.seen,
            minutes=minutes,
            outcome=finding.outcome,
            slow_only=canary.slow_only(finding),
            new_down=self.down("new", self.seen.new_down),
            old_down=self.down("old", self.seen.old_down) if self.step.percent < 100 else 0,
        )
        move = next_move(self.step, self.seen)
        at = self.offset + minutes
        self.looks.append(Look(self.step.percent, at, new, old, finding, move, heard))
        log.info("%s: %s", rollout_page.headline(self.looks[-1]), "; ".join(self.reasons))
        return move

    def found(self) -> tuple[Arm, Arm | None, Finding]:
        """Both arms and what they show; ERROR when CloudWatch cannot be read just now."""
        window = (self.since, datetime.now(UTC), self.plan.max_p99_ms / 1000)
        try:
            new, old = self.target.traffic(*self.where, *window)
        except Exception as error:
            if not (may_pass(error) or isinstance(error, DeployFailed)):
                raise
            nothing = Arm(self.wanted.version, 0, 0, 0)
            return nothing, None, Finding(Outcome.ERROR, (f"no metrics: {error}"[:300],), {})
        old = old if self.step.percent < 100 else None
        return new, old, canary.judge(new, old, self.limits)

    def with_answers(self, finding: Finding) -> tuple[Both | None, Finding]:
        """What callers heard, and the finding: FAIL when they or the probes got worse answers."""
        both = None
        if self.asked:
            finding = canary.beside(finding, canary.judge_answers(self.asked, self.limits))
        if self.callers:
            both, heard = self.callers.judged(self.limits)
            finding = canary.beside(finding, heard)
        return both, finding

    def down(self, side: Side, before: int) -> int:
        """How many looks in a row found that side sick."""
        return 0 if self.target.healthy(*self.where, side) else before + 1

    def act(self, move: Move) -> None:
        """What a look asks for besides waiting."""
        if move is Move.SCALE_OUT:
            if (grown := self.target.scale_out(*self.where)) is not None:
                log.warning("too slow: %s; the step begins again", grown)
                self.since, self.begun = datetime.now(UTC), time.monotonic()
                self.offset = self.looks[-1].minutes
                self.callers = self.listening()
            self.seen = replace(self.seen, scaled=True)
        elif move is Move.PROBE:
            log.warning(
                "too few requests: %s texts of the test split are sent to each side",
                self.plan.min_requests,
            )
            self.asked = self.probe()
            self.seen = replace(self.seen, probed=True)

    def probe(self) -> tuple[tuple[str, str, str], ...]:
        """Ask both sides the same texts; (label, new's answer, old's answer) of each text once."""
        sides: tuple[Side, ...] = ("new", "old") if self.step.percent < 100 else ("new",)
        sessions = [self.target.session(*self.where, side) for side in sides]
        return hearing.probe(sessions, self.texts, self.plan.min_requests)
