from datetime import UTC, datetime, timedelta

import pytest

from tasks.drift_window import Window
from tasks.errors import BadInput

DUE = datetime(2026, 11, 21, 18, 7, 0, 123_456, tzinfo=UTC)


def test_it_ends_when_the_run_was_due_and_begins_some_hours_before():
    since, until = Window().span(DUE, hours=24)

    assert until == DUE.replace(microsecond=0)
    assert until - since == timedelta(hours=24)


def test_another_time_may_be_asked_for():
    asked = Window.model_validate(
        {"since": "2026-11-01T00:00:00+01:00", "until": "2026-11-02T00:00:00Z"}
    )

    since, until = asked.span(DUE, hours=24)

    assert until - since == timedelta(hours=25)


def test_a_window_without_any_time_in_it_is_refused():
    with pytest.raises(BadInput, match="must be before until"):
        Window(since=DUE, until=DUE).span(DUE, hours=24)
