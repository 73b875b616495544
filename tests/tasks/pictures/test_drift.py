from datetime import UTC, datetime, timedelta

import pytest

from tasks.pictures.drift import Point, trend

UNTIL = datetime(2026, 11, 21, tzinfo=UTC)
SCORES = (0.0, 0.02, 0.05, 0.4)
OUTCOMES = ("OK", "OK", "SUSPECTED", "DETECTED")


@pytest.mark.parametrize("checks", [1, 4])
def test_the_trend_is_drawn_from_the_first_check_on(checks):
    points = [
        Point(UNTIL + timedelta(hours=at), SCORES[at], OUTCOMES[at], str(6 + at // 2))
        for at in range(checks)
    ]

    picture = trend(points, threshold=0.03)

    assert picture.startswith(b"\x89PNG")
    assert trend(points, threshold=0.03) == picture
