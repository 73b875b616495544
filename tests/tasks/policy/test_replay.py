"""What a version shows on requests that callers have sent before."""

import json

import pytest

from tasks.policy.canary import Limits
from tasks.policy.replay import Replayed, judge
from tasks.records import Answer, Outcome, Served

NEW = Served("2", "s3://models/2", "b" * 64, "serverless")
LIMITS = Limits(min_requests=200, steps=1)


def told(label="World", champion="World", seconds=0.1, status=200, version="2"):
    body = json.dumps({"prediction": label})
    return Replayed(champion, Answer(status, body, version, NEW.bundle_digest, seconds))


def judged(*groups):
    rows = [one for count, one in groups for _ in range(count)]
    return judge(rows, NEW, 5000, 0.9, LIMITS)


GOOD = told()
OTHER = told(label="Sports")
BROKEN = told(status=500)
SLOW = told(seconds=6.0)


@pytest.mark.parametrize(
    ("groups", "outcome", "reason"),
    [
        ([(200, GOOD)], Outcome.PASS, "other answers than the champion 0.00 % of 200"),
        ([(190, GOOD), (10, OTHER)], Outcome.PASS, "other answers than the champion 5.00 %"),
        ([(170, GOOD), (30, OTHER)], Outcome.INCONCLUSIVE, "15.00 % of 200: over the limit 10"),
        ([(140, GOOD), (60, OTHER)], Outcome.FAIL, "30.00 % of 200: over the limit 10.00 %"),
        ([(10, OTHER)], Outcome.FAIL, "other answers than the champion 100.00 % of 10"),
        ([(190, GOOD), (10, BROKEN)], Outcome.FAIL, "errors 5.00 % of 200"),
        ([(200, told(version="1"))], Outcome.FAIL, "errors 100.00 % of 200"),
        ([(190, GOOD), (10, SLOW)], Outcome.FAIL, "slow answers 5.00 % of 200"),
        ([(199, GOOD), (1, SLOW)], Outcome.PASS, "slow answers 0.50 % of 200"),
        ([(199, GOOD)], Outcome.INCONCLUSIVE, "199 of at least 200 requests"),
        ([(200, told(champion=""))], Outcome.PASS, "agreement is not judged"),
        ([], Outcome.INCONCLUSIVE, "0 of at least 200 requests"),
    ],
)
def test_errors_slow_answers_and_agreement_decide(groups, outcome, reason):
    finding = judged(*groups)

    assert finding.outcome is outcome
    assert reason in "; ".join(finding.reasons)
