from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.policy.canary import Finding, Limits, beside, judge, judge_answers, slow_only
from tasks.records import Arm, Outcome

LIMITS = Limits()


def arm(version="8", requests=1_200, errors=2, slow=3, times=(40.0, 120.0, 300.0)):
    return Arm(version, requests, errors, slow, *times)


OLD = arm("7", 10_850, 22, 30)


def outcome(new, old=OLD, limits=LIMITS):
    return judge(new, old, limits).outcome


def test_a_version_that_keeps_the_limits_and_is_no_worse_passes_with_its_numbers():
    found = judge(arm(), OLD, LIMITS)

    assert found.outcome is Outcome.PASS
    assert found.reasons == (
        "errors 0.17 % of 1,200 against 0.20 % of 10,850: within the limit 1.00 %, not shown worse",
        "slow answers 0.25 % of 1,200 against 0.28 % of 10,850: within the limit 1.00 %,"
        " not shown worse",
    )
    assert found.numbers["new_error_rate"] == pytest.approx(2 / 1_200)
    assert found.numbers["old_p99_ms"] == 300


def test_more_errors_than_the_old_version_fail_beyond_doubt():
    found = judge(arm(requests=1_204, errors=37), OLD, LIMITS)

    assert found.outcome is Outcome.FAIL
    assert found.reasons == (
        "errors 3.07 % of 1,204 against 0.20 % of 10,850: worse beyond doubt (alpha 0.05)",
    )


def test_worse_than_the_old_version_fails_also_within_the_limit():
    lax = replace(LIMITS, max_error_rate=0.1, max_slow_share=0.1)

    assert outcome(arm(errors=37), limits=lax) is Outcome.FAIL
    assert outcome(arm(slow=37), limits=lax) is Outcome.FAIL


def test_a_version_that_is_only_slow_is_told_from_one_that_fails_too():
    assert slow_only(judge(arm(slow=60), OLD, LIMITS))
    assert not slow_only(judge(arm(slow=60, errors=60), OLD, LIMITS))
    assert not slow_only(judge(arm(), OLD, LIMITS))


def test_a_limit_that_both_sides_break_is_left_to_the_comparison():
    found = judge(arm(errors=60), replace(OLD, errors=540), LIMITS)

    assert found.outcome is Outcome.PASS
    assert found.reasons[0] == (
        "errors 5.00 % of 1,200 against 4.98 % of 10,850: both over the limit 1.00 %,"
        " the new version not shown worse"
    )
    assert outcome(arm(errors=160), replace(OLD, errors=540)) is Outcome.FAIL


def test_over_the_limit_but_not_beyond_doubt_is_inconclusive():
    found = judge(arm(errors=14), replace(OLD, errors=105), LIMITS)

    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reasons == (
        "errors 1.17 % of 1,200 against 0.97 % of 10,850: over the limit 1.00 %,"
        " but not beyond doubt",
    )


def test_alone_only_the_limits_count():
    assert outcome(arm(), None) is Outcome.PASS
    assert outcome(arm(errors=14), None) is Outcome.INCONCLUSIVE
    found = judge(arm(slow=60), None, LIMITS)
    assert found.outcome is Outcome.FAIL
    assert found.reasons == (
        "slow answers 5.00 % of 1,200: over the limit 1.00 % beyond doubt (alpha 0.05)",
    )


@pytest.mark.parametrize(
    ("new", "old", "reason"),
    [
        (arm(requests=199), OLD, "new version 8: 199 of at least 200 requests"),
        (arm(), arm("7", 150, 0, 0), "old version 7: 150 of at least 200 requests"),
        (
            arm(requests=0, errors=0, slow=0, times=(None,) * 3),
            OLD,
            "new version 8: 0 of at least 200 requests",
        ),
    ],
)
def test_too_few_requests_on_either_side_are_no_pass(new, old, reason):
    found = judge(new, old, LIMITS)

    assert (found.outcome, found.reasons[-1]) == (Outcome.INCONCLUSIVE, reason)


def test_a_broken_version_fails_before_it_has_enough_requests_and_without_latencies():
    broken = arm(requests=25, errors=25, slow=0, times=(None,) * 3)

    assert outcome(broken) is Outcome.FAIL
    assert outcome(broken, None) is Outcome.FAIL


def test_requests_without_latencies_are_an_error():
    found = judge(arm(times=(40.0, None, None)), OLD, LIMITS)

    assert found.outcome is Outcome.ERROR
    assert found.reasons == ("new version 8: no latencies of 1,200 requests",)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"errors": 1_201}, "new version 8: errors 1,201 of 1,200 requests"),
        ({"slow": 1_300}, "new version 8: slow 1,300 of 1,200 requests"),
        ({"requests": -1}, "new version 8: requests is -1"),
        ({"errors": nan}, "new version 8: errors is nan"),
        ({"p99_ms": nan}, "new version 8: p99_ms is nan"),
    ],
)
def test_numbers_that_cannot_be_are_an_error(wrong, reason):
    found = judge(replace(arm(), **wrong), OLD, LIMITS)

    assert (found.outcome, found.reasons) == (Outcome.ERROR, (reason,))


FIELDS = ("requests", "errors", "slow", "p50_ms", "p95_ms", "p99_ms")


@settings(max_examples=60)
@given(
    st.sampled_from(FIELDS),
    st.sampled_from([nan, inf, -1, None]),
    st.booleans(),
    st.integers(0, 20_000),
)
def test_a_missing_number_is_never_a_pass(name, value, on_old, requests):
    whole = arm(requests=requests, errors=0, slow=0)
    torn = replace(whole, **{name: value})

    assert outcome(*((whole, torn) if on_old else (torn, whole))) is Outcome.ERROR
    if not on_old:
        assert outcome(torn, None) is Outcome.ERROR


@settings(max_examples=60)
@given(st.data(), st.integers(0, 5_000), st.integers(0, 5_000))
def test_a_pass_has_enough_requests_and_keeps_the_limits_or_is_beside_one_that_does_not(
    data, new_requests, old_requests
):
    sides = []
    for version, requests in (("8", new_requests), ("7", old_requests)):
        bad = st.integers(0, min(requests, 100))
        sides.append(arm(version, requests, data.draw(bad), data.draw(bad)))
    new, old = sides

    found = judge(new, old, LIMITS)

    assert found.reasons
    assert found.outcome is not Outcome.ERROR
    if found.outcome is Outcome.PASS:
        assert min(new_requests, old_requests) >= LIMITS.min_requests
        assert new.errors <= 0.01 * new_requests or old.errors > 0.01 * old_requests
        assert new.slow <= 0.01 * new_requests or old.slow > 0.01 * old_requests


def test_more_steps_leave_each_less_of_alpha():
    unsure = arm(errors=11)

    assert outcome(unsure, limits=Limits(steps=1)) is Outcome.FAIL
    assert outcome(unsure, limits=Limits(steps=20)) is not Outcome.FAIL


def probes(both=0, lost=0, won=0, neither=0):
    rows = [("a", "a", "a")] * both + [("a", "b", "a")] * lost
    return rows + [("a", "a", "b")] * won + [("a", "b", "c")] * neither


def test_equal_answers_pass_with_accuracy_and_agreement():
    found = judge_answers(probes(both=350, lost=12, won=10, neither=28), LIMITS)

    assert found.outcome is Outcome.PASS
    assert found.reasons == (
        "accuracy 0.900 against 0.905 on 400 texts, the same answer to 87.50 %: not shown worse",
    )
    assert found.numbers["agreement"] == 0.875


def test_texts_that_only_the_old_version_has_right_fail_beyond_doubt():
    found = judge_answers(probes(both=350, lost=40, won=10), LIMITS)

    assert found.outcome is Outcome.FAIL
    assert "0.900 against 0.975 on 400 texts" in found.reasons[0]
    assert judge_answers(probes(lost=100), LIMITS).outcome is Outcome.FAIL


def test_few_texts_are_no_pass():
    assert judge_answers([], LIMITS).outcome is Outcome.INCONCLUSIVE
    assert judge_answers(probes(both=199), LIMITS).outcome is Outcome.INCONCLUSIVE


def test_a_text_without_an_answer_is_an_error():
    found = judge_answers([*probes(both=300), ("a", "", "a")], LIMITS)

    assert found.outcome is Outcome.ERROR
    assert found.reasons == ("1 of 301 texts without label or answer",)


@pytest.mark.parametrize("weak", [Outcome.PASS, Outcome.INCONCLUSIVE])
def test_bad_answers_take_back_and_others_neither_let_pass_nor_hold_up(weak):
    def said(outcome, *reasons):
        return Finding(outcome, reasons, {reasons[0]: 1.0})

    bad, numbers = said(Outcome.FAIL, "bad"), said(Outcome.PASS, "numbers")

    found = beside(numbers, bad)
    assert (found.outcome, found.reasons) == (Outcome.FAIL, ("bad", "numbers"))
    assert found.numbers == {"bad": 1.0, "numbers": 1.0}
    for outcome in (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.ERROR):
        found = beside(said(outcome, "numbers"), said(weak, "other"))
        assert (found.outcome, found.reasons) == (outcome, ("numbers", "other"))
    slow = judge(arm(slow=60), OLD, LIMITS)
    assert slow_only(beside(slow, said(weak, "other")))
    assert not slow_only(beside(slow, bad))
