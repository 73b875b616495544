"""On any course of events the governor keeps every limit."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from plugins.retrains import HOUR, NOW, asked

from tasks.policy import governor, retrains
from tasks.policy.governor import Answer, Case
from tasks.policy.recovery import Fate
from tasks.reasons import ASKED_BY_MONITOR, Ending, Journal
from tasks.retrain_policy import Retrain


class Course(RuleBasedStateMachine):
    """Checks ask, runs end or die, persons step in, time goes by."""

    def __init__(self):
        super().__init__()
        self.journal, self.now, self.serving = Journal(), NOW, 3
        self.limits = Retrain(
            cooldown_hours=24, max_per_week=3, stop_after=3, max_cost_usd=8, dollars_per_hour=2
        )
        self.requests, self.starts, self.row = {}, [], 0

    @rule(minutes=st.sampled_from([1, 30, 700, 4000]))
    def wait(self, minutes):
        self.now += timedelta(minutes=minutes)

    @rule(kind=st.sampled_from(["drift", "accuracy", "new-data", "weekly", "manual"]))
    def ask(self, kind):
        note = str(len(self.journal.runs)) if kind == "manual" else ""
        request = asked(kind, str(self.serving), self.now, self.journal, self.limits, note)
        self.begin(self.requests.setdefault(request.fingerprint, request))

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def ask_again(self, data):
        self.begin(self.requests[data.draw(st.sampled_from(sorted(self.requests)))])

    def begin(self, request, resumed=False):
        self.look(Fate.ALIVE)
        version = str(self.serving)
        ruling = governor.decide(Case(self.journal, request, self.limits, version, 1.0, self.now))
        assert ruling.reason
        assert ruling.until is None or ruling.until > self.now
        if ruling.answer is not Answer.START:
            return
        kind = request.reason.kind
        assert self.journal.current is None
        assert not any(run.fingerprint == request.fingerprint for run in self.journal.ended)
        if kind in ASKED_BY_MONITOR:
            assert self.row < self.limits.stop_after
            ended = [r.ended for r in self.journal.ended if r.kind in ASKED_BY_MONITOR]
            assert not ended or self.now - ended[-1] >= 24 * HOUR
            week = {one for at, one in self.starts if self.now - at < 168 * HOUR}
            assert len(week - {request.fingerprint}) < self.limits.max_per_week
            self.starts.append((self.now, request.fingerprint))
        until = self.now + 4 * HOUR
        self.journal = retrains.began(
            self.journal, request, version, f"run {self.now}", self.now, until, resumed
        )
        self.row = 0 if resumed else self.row

    @rule(
        hours=st.sampled_from([2, 30, 50]),
        kind=st.sampled_from(ASKED_BY_MONITOR),
        ending=st.sampled_from([Ending.PROMOTED, Ending.REFUSED, Ending.REFUSED]),
    )
    def retrain(self, hours, kind, ending):
        self.now += hours * HOUR
        self.ask(kind)
        if self.journal.current:
            self.end(ending)

    @precondition(lambda self: self.journal.current)
    @rule(ending=st.sampled_from([Ending.PROMOTED, Ending.REFUSED, Ending.FAILED]))
    def end(self, ending):
        by_monitor = self.journal.current.kind in ASKED_BY_MONITOR
        self.serving += ending is Ending.PROMOTED
        self.row = 0 if ending is Ending.PROMOTED else self.row + by_monitor
        self.journal = retrains.changed(
            self.journal, ended=self.now, ending=ending, machine_hours=1.0
        )

    @rule(fate=st.sampled_from(Fate))
    def look(self, fate):
        if self.journal.current is None:
            return
        self.journal = retrains.settled(self.journal, fate, str(self.serving), self.now, 1.0)
        last = self.journal.runs[-1]
        assert last.ended or (fate is not Fate.OVER and self.now <= last.until)
        if last.ending is Ending.FAILED and last.kind in ASKED_BY_MONITOR:
            self.row += 1

    @rule()
    def resume(self):
        self.begin(asked("manual", "3", self.now, note=f"resume {self.now}"), resumed=True)

    @invariant()
    def one_at_a_time(self):
        assert sum(run.ended is None for run in self.journal.runs) <= 1

    @invariant()
    def the_row_is_what_the_journal_says(self):
        assert len(retrains.refused_in_a_row(self.journal)) == self.row


TestCourse = Course.TestCase
TestCourse.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


def test_what_broke_is_gone_on_with_until_its_cooldown_is_over():
    request, journal = asked("manual"), Journal()
    assert retrains.broken(journal, Retrain(), NOW) is None
    journal = retrains.began(journal, request, "3", "run 1", NOW, NOW + HOUR)
    ends = [retrains.changed(journal, ended=NOW, ending=ending) for ending in (None, *Ending)]

    told = {one.runs[-1].ending for one in ends if retrains.broken(one, Retrain(), NOW + HOUR)}
    late = [one for one in ends if retrains.broken(one, Retrain(), NOW + 25 * HOUR)]

    assert told == {None, Ending.FAILED, Ending.LOST}
    assert late == []


def test_a_weekly_run_that_starts_a_day_late_is_not_the_next_one():
    sunday = datetime(2027, 1, 3, 2, tzinfo=UTC)  # the ISO week, and its year, end on this day
    late, saturday, following = (sunday + n * 24 * HOUR for n in (1, 6, 7))

    def week(at):
        return asked("weekly", at=at).fingerprint

    assert week(sunday) == week(late) == week(saturday) != week(following)
