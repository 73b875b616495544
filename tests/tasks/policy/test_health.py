"""Who is told of what the health flow saw, and when again."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.policy import health
from tasks.policy.health import Known, Look, Report, State
from tasks.records import Answer

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
EVERY = timedelta(minutes=5)
STATES = {"h": State.HEALTHY, "u": State.UNHEALTHY, "r": State.UNREACHABLE, "?": State.UNKNOWN}


def look(state=State.HEALTHY, detail="status 503: starting"):
    return Look("news", "http://balancer", state, detail, "7", 12.3, "make monitor")


def told(states, heard=lambda _: True):
    """The number of each look that people were told of, and what: one look every five minutes."""
    known, said = None, []
    for number, letter in enumerate(states):
        now, seen = NOON + number * EVERY, look(STATES[letter])
        known = health.after(known, seen, now)
        if (news := health.news(known, seen, now)) and heard(number):
            known = health.told(known, now)
            said.append((number, news.subject.removeprefix("news is ")))
    return said


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ("hhhh", []),
        ("huuu", [(1, "unhealthy")]),
        ("uhhhh", [(0, "unhealthy"), (2, "healthy again")]),
        ("hurh?hu", [(1, "unhealthy")]),
        ("rhhr", [(0, "unreachable"), (2, "healthy again"), (3, "unreachable")]),
        ("?", [(0, "unknown")]),
        ("u" * 145, [(0, "unhealthy"), (72, "unhealthy"), (144, "unhealthy")]),
    ],
    ids=lambda one: one[:8] if isinstance(one, str) else "",
)
def test_the_first_sick_look_is_told_then_every_six_hours_and_the_recovery_once(states, said):
    assert told(states) == said


def test_who_could_not_be_told_is_told_at_the_next_look():
    assert told("huuhhh", heard=lambda number: number not in (1, 4)) == [
        (2, "unhealthy"),
        (5, "healthy again"),
    ]


def test_a_message_says_what_where_since_when_and_what_to_type():
    known = health.after(None, look(State.UNHEALTHY), NOON)

    news = health.news(known, look(State.UNHEALTHY), NOON + EVERY)

    assert news.subject == "news is unhealthy"
    assert news.message == (
        "http://balancer is unhealthy since 2026-01-15 12:00 UTC: status 503: starting"
    )
    assert news.command == "make monitor"


@pytest.mark.parametrize(
    ("answer", "state", "detail"),
    [
        (Answer(200, '{"status": "healthy"}', "7", "", 0.01), State.HEALTHY, ""),
        (Answer(503, "starting", "7", "", 0.01), State.UNHEALTHY, "status 503: starting"),
        (Answer(0, "ConnectTimeout", "", ""), State.UNREACHABLE, "ConnectTimeout"),
    ],
)
def test_only_200_is_healthy_and_silence_is_unreachable(answer, state, detail):
    seen = health.judged("news", "http://balancer", answer, "")

    assert (seen.state, seen.detail) == (state, detail)
    assert seen.latency_ms == (10 if answer.status else None)


@pytest.mark.parametrize(
    ("before", "last", "state"),
    [
        (None, None, State.HEALTHY),
        (None, 500, State.HEALTHY),
        (Known(State.HEALTHY, NOON - timedelta(minutes=119)), None, State.HEALTHY),
        (Known(State.HEALTHY, NOON - timedelta(minutes=121)), None, State.OVERDUE),
        (Known(State.HEALTHY, NOON - timedelta(days=9)), 119, State.HEALTHY),
        (Known(State.HEALTHY, NOON - timedelta(days=9)), 121, State.OVERDUE),
        (Known(State.OVERDUE, NOON - timedelta(minutes=5)), 121, State.OVERDUE),
        (Known(State.OVERDUE, NOON - timedelta(minutes=5)), None, State.OVERDUE),
        (Known(State.OVERDUE, NOON - timedelta(minutes=5)), 1, State.HEALTHY),
    ],
)
def test_a_check_may_be_missed_once_and_a_first_one_has_as_long(before, last, state):
    ended = None if last is None else NOON - timedelta(minutes=last)

    assert health.checked("drift-check news", "s3://b", ended, before, NOON, "").state is state


def test_the_page_and_the_table_show_all_and_say_what_is_wrong():
    sick = Look("a|b", "http://x", State.UNREACHABLE, "Timeout\nof 5 s", command="make monitor")
    report = Report(((look(), NOON), (sick, NOON)))

    page, table = health.page(report), health.text(report)

    assert "- **a|b** is unreachable: Timeout of 5 s" in page
    assert "| news | healthy | 7 | 12 | 2026-01-15 12:00 | http://balancer |" in page
    assert "| a/b | unreachable |" in page
    assert "a|b    unreachable" in table
    assert table.endswith("a|b is unreachable: Timeout of 5 s\n  next: make monitor")
    assert health.headline(report) == "a|b unreachable"
    assert not report.healthy
    assert health.headline(Report(((look(), NOON),))) == "all 1 are healthy"
