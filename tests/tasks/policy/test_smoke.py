import json

import pytest

from tasks.policy.answers import Asked
from tasks.policy.smoke import Burst, Seen, judge
from tasks.records import Answer, Outcome, Usage

LABELS = ("World", "Sports", "Business", "Sci/Tech")
DIGEST = "d" * 64
GOOD = {
    "prediction": "Sports",
    "confidence": 0.9,
    "model_version": "7",
    "processing_time": 0.01,
    "timestamp": "2026-01-15T10:30:00Z",
}


def answer(status=200, ms=20.0, version="7", **body):
    return Answer(status, json.dumps({**GOOD, **body}), version, DIGEST, ms / 1e3)


def alone(*answers):
    return tuple(Asked("text", "Sports", one) for one in answers)


def told(*answers, burst=(), usage=None):
    seen = Seen(alone(*answers), Burst(8, 2.0, tuple(burst)), usage)
    return judge(seen, LABELS, "7", DIGEST)


def test_good_answers_pass_with_every_number_that_was_measured():
    times = [answer(ms=ms) for ms in range(1, 21)]

    report = told(*times, burst=[answer()] * 40, usage=Usage(55.0, 800e6))

    assert report.outcome is Outcome.PASS
    assert report.numbers == {
        "requests": 60,
        "p50_ms": pytest.approx(10),
        "p95_ms": pytest.approx(19),
        "p99_ms": pytest.approx(20),
        "accuracy": 1.0,
        "throughput_rps": 20.0,
        "refused": 0,
        "cpu_percent": 55.0,
        "memory_mb": 800.0,
    }
    assert str(report) == (
        "60 requests; p50 10 ms (target 100), p95 19 ms (target 300), p99 20 ms (target 500); "
        "100% got the label of the test set; a burst at 20 requests/s; CPU 55 % (target 70); "
        "memory 800 MB"
    )


def test_few_answers_are_no_pass():
    assert told(*[answer()] * 4).outcome is Outcome.INCONCLUSIVE
    assert told().outcome is Outcome.INCONCLUSIVE


def test_wrong_labels_are_counted_and_not_judged():
    report = told(*[answer(prediction="World")] * 3, *[answer()] * 3)

    assert (report.outcome, report.numbers["accuracy"]) == (Outcome.PASS, 0.5)


def test_a_missed_target_is_told_and_a_median_beyond_the_bound_fails():
    slow = told(*[answer(ms=1_900)] * 9)
    slower = told(*[answer(ms=2_100)] * 5, *[answer()] * 4)
    one_hiccup = told(*[answer()] * 9, answer(ms=20_000))

    assert (slow.outcome, one_hiccup.outcome) == (Outcome.PASS, Outcome.PASS)
    assert "p50 1900 ms (target 100)" in str(slow)
    assert slower.reasons == ("half of the requests take over 2100 ms (2000)",)


def test_a_bad_answer_among_good_ones_fails_once_for_its_reason():
    report = told(*[answer()] * 9, *[answer(status=503)] * 2)

    assert report.outcome is Outcome.FAIL
    assert len(report.reasons) == 1
    assert "status 503" in report.reasons[0]


def test_refusals_in_a_burst_are_a_figure_and_errors_are_a_fault():
    refused = told(*[answer()] * 5, burst=[answer()] * 6 + [answer(429), answer(503)])
    broken = told(*[answer()] * 5, burst=[answer()] * 6 + [answer(500)])
    other = told(*[answer()] * 5, burst=[answer(version="6")])

    assert refused.outcome is Outcome.PASS
    assert (refused.numbers["throughput_rps"], refused.numbers["refused"]) == (3.0, 2.0)
    assert "in a burst: status 500" in broken.reasons[0]
    assert other.reasons == ("in a burst: answered by version 6",)


def test_a_target_that_tells_nothing_of_its_process_is_said():
    assert "CPU and memory: this target does not tell" in str(told(*[answer()] * 5))
