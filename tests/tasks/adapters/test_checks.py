from datetime import UTC, datetime, timedelta

import pytest

from tasks.adapters import aws, checks

UNTIL = datetime(2026, 11, 21, 18, tzinfo=UTC)


@pytest.fixture
def s3(sandbox, request):
    client = aws.client("s3")
    client.create_bucket(Bucket="checked")
    return client


def concluded(s3, name, hours, verdict):
    place = checks.folder(name, UNTIL - timedelta(hours=hours), "0" * 64)
    return checks.conclude(s3, "checked", place, verdict)


def test_the_first_verdict_stays_and_the_same_one_again_is_no_contradiction(s3):
    place = checks.folder("first", UNTIL, "ab" * 32)

    assert checks.find(s3, "checked", place) is None
    assert place == "drift/first/20261121T180000Z-abababababab"
    written = [checks.conclude(s3, "checked", place, one) for one in (b"one", b"two", b"one")]
    assert written == [True, False, True]
    assert checks.find(s3, "checked", place) == b"one"


def test_the_trend_is_of_earlier_windows_alone_oldest_first_and_bounded(s3):
    for hours in (0, 1, 2, 3, 24 * 40):
        concluded(s3, "trend", hours, f"{hours} h ago".encode())
    concluded(s3, "trend-other", 1, b"another classifier")
    begun = checks.folder("trend", UNTIL - timedelta(hours=4), "0" * 64)
    kept = checks.keep(s3, "checked", begun, {"report.html": b"<p>", "report.json": b"{}"})

    assert kept == "s3://checked/drift/trend/20261121T140000Z-000000000000"
    found = checks.before(s3, "checked", "trend", UNTIL, most=2)
    assert found == (b"2 h ago", b"1 h ago")
    assert len(checks.before(s3, "checked", "trend", UNTIL, most=50)) == 3


def test_a_lost_answer_to_the_last_write_is_success(s3, sandbox):
    sandbox.fault(service="s3", action="PutObject", kind="commit-then-500", times=1)
    try:
        assert concluded(s3, "lost", 0, b"mine")
    finally:
        sandbox.clear_faults()
