"""When a request becomes a retrain, and when not."""

from datetime import timedelta

import pytest
from plugins.retrains import HOUR, LIMITS, NOW, asked

from tasks.policy import governor, retrains
from tasks.policy.governor import Answer, Case
from tasks.policy.recovery import Fate
from tasks.reasons import Ending, Journal, Run
from tasks.retrain_policy import Retrain


def past(hours, kind="drift", ending=Ending.REFUSED, machine_hours=1.0, **more):
    """A retrain that ended so many hours before NOW; it took one hour."""
    ended = NOW - hours * HOUR
    return Run(
        **{
            "fingerprint": f"{kind}-{hours}",
            "kind": kind,
            "version": "3",
            "holder": "flow run 1 attempt 1",
            "began": ended - HOUR,
            "until": ended + HOUR,
            "ended": ended,
            "ending": ending,
            "machine_hours": machine_hours,
            **more,
        }
    )


def decide(request, *runs, limits=LIMITS, serving="3", now=NOW):
    return governor.decide(Case(Journal(runs=runs), request, limits, serving, 1.0, now))


def test_a_first_request_starts_and_says_why_with_numbers():
    ruling = decide(asked())

    assert ruling.answer is Answer.START
    assert ruling.reason == (
        "drift 0.410 of version 3, 0 of 3 retrains in 7 days, 0 of 3 not promoted"
    )


def test_a_hundred_events_in_an_hour_are_one_request_and_one_retrain():
    journal, starts = Journal(), 0
    for event in range(100):
        now = NOW + event * timedelta(seconds=36)
        request = asked(at=now, journal=journal)
        case = Case(journal, request, LIMITS, "3", 1.0, now)
        if governor.decide(case).answer is Answer.START:
            starts += 1
            journal = retrains.began(journal, request, "3", "run", now, now + 4 * HOUR)
        if event == 60:
            journal = retrains.changed(journal, ended=now, ending=Ending.REFUSED)

    assert (starts, len({run.fingerprint for run in journal.runs})) == (1, 1)


def test_another_kind_of_evidence_in_the_same_episode_is_dropped():
    ruling = decide(asked("accuracy", at=NOW - HOUR), past(2))

    assert ruling.answer is Answer.DROP
    assert "the retrain of this episode ended refused at 2026-11-20 10:00 UTC" in ruling.reason


def test_after_the_cooldown_the_same_evidence_is_a_new_request():
    before = asked(at=NOW - 30 * HOUR)
    refused = past(25, fingerprint=before.fingerprint)

    again = asked(journal=Journal(runs=(refused,)))

    assert again.fingerprint != before.fingerprint
    assert decide(before, refused).answer is Answer.DROP
    assert decide(again, refused).answer is Answer.START


@pytest.mark.parametrize("kind", ["manual", "weekly", "new-data"])
def test_of_one_classifier_one_retrain_runs(kind):
    running = past(0, ended=None, ending=None, until=NOW + HOUR)

    ruling = decide(asked(kind), running)

    assert ruling.answer is (Answer.WAIT if kind == "new-data" else Answer.DROP)
    assert ruling.until == NOW + HOUR
    assert "under way since 2026-11-20 11:00 UTC, held by flow run 1" in ruling.reason


def test_new_rows_wait_for_the_cooldown_after_a_promoted_version():
    ruling = decide(asked("new-data", "4"), past(6, ending=Ending.PROMOTED), serving="4")

    assert (ruling.answer, ruling.until) == (Answer.WAIT, NOW + 18 * HOUR)
    assert "6.0 hours after the last retrain, the cooldown is 24 hours" in ruling.reason


def test_no_more_than_so_many_a_week():
    runs = tuple(past(hours, ending=Ending.PROMOTED) for hours in (150, 100, 50))

    ruling = decide(asked(), *runs)

    assert (ruling.answer, ruling.until) == (Answer.WAIT, NOW + (168 - 151) * HOUR)
    assert decide(asked(), *runs, now=ruling.until).answer is Answer.START
    assert "3 retrains in 7 days, max_per_week is 3" in ruling.reason


def test_evidence_about_what_serves_no_more_is_dropped():
    ruling = decide(asked(version="3"), serving="4")

    assert (ruling.answer, ruling.reason) == (
        Answer.DROP,
        "it is about version 3, version 4 serves now",
    )


@pytest.mark.parametrize("ending", [Ending.REFUSED, Ending.FAILED, Ending.UNCHANGED])
def test_after_three_that_were_not_promoted_a_person_is_due(ending):
    runs = tuple(past(hours, ending=ending) for hours in (220, 200, 30))

    ruling = decide(asked(), *runs)

    assert ruling.answer is Answer.STOPPED
    assert ruling.command == "prefect deployment run 'pipeline/news' -p resume=true"
    assert decide(asked("manual"), *runs).answer is Answer.START
    assert decide(asked("weekly"), *runs).answer is Answer.START


@pytest.mark.parametrize(
    "between",
    [{"ending": Ending.PROMOTED}, {"resumed": True, "ending": Ending.FAILED}],
)
def test_a_promoted_version_or_a_person_lets_it_go_on(between):
    runs = (*(past(hours) for hours in (220, 200, 60)), past(50, kind="manual", **between))

    assert decide(asked(), *runs).answer is Answer.START


def test_the_budget_counts_what_was_paid_and_what_one_more_costs():
    limits = Retrain(max_cost_usd=5, dollars_per_hour=2.0)
    runs = tuple(past(hours, ending=Ending.PROMOTED) for hours in (100, 50))

    fits = decide(asked(), past(50, ending=Ending.PROMOTED), limits=limits)
    ruling = decide(asked(), *runs, limits=limits)

    assert (fits.answer, ruling.answer) == (Answer.START, Answer.WAIT)
    assert ruling.until == NOW + (168 - 101) * HOUR
    assert "4.00 dollars in 7 days and about 2.00 for one more, max_cost_usd is 5.00" in (
        ruling.reason
    )


def test_a_budget_that_no_retrain_fits_into_is_for_a_person():
    ruling = decide(asked(), limits=Retrain(max_cost_usd=1.5, dollars_per_hour=2.0))

    assert ruling.answer is Answer.STOPPED
    assert ruling.command == "raise max_cost_usd of [retrain] in classifiers/news.toml"


def test_a_killed_run_is_tried_again_twice_and_fails_then():
    journal, request, endings = Journal(), asked(), []
    for _ in range(3):
        assert governor.decide(Case(journal, request, LIMITS, "3", 1.0, NOW)).answer == "START"
        journal = retrains.began(journal, request, "3", "dead", NOW, NOW + HOUR)
        journal = retrains.settled(journal, Fate.OVER, "3", NOW, 1.0)
        endings.append(journal.runs[-1].ending)

    assert endings == [Ending.LOST, Ending.LOST, Ending.FAILED]
    assert governor.decide(Case(journal, request, LIMITS, "3", 1.0, NOW)).answer == "DROP"


def test_a_run_that_died_after_its_version_was_promoted_promoted_it():
    journal = retrains.began(Journal(), asked(), "3", "dead", NOW, NOW + HOUR)

    alive = retrains.settled(journal, Fate.ALIVE, "4", NOW, 1.0)
    late = retrains.settled(journal, Fate.UNKNOWN, "4", NOW + 2 * HOUR, 1.0)

    assert alive == journal
    assert (late.runs[-1].ending, late.runs[-1].made) == (Ending.PROMOTED, "4")
