"""When the demo takes a check without a retrain for an end."""

import pytest
from plugins.windows import about
from prefect.client.schemas.objects import FlowRun
from prefect.states import Failed

from deployments.drifting import does_no_harm
from tasks.drift_records import DriftOutcome, DriftVerdict
from tasks.drift_response import conclude


def ended(state):
    return FlowRun.model_construct(state=state)


@pytest.mark.parametrize(
    ("outcome", "hurting", "advice", "taken"),
    [
        (DriftOutcome.DETECTED, "no", "ignore", True),
        (DriftOutcome.DETECTED, "yes", "retrain", False),
        (DriftOutcome.DETECTED, "no", "retrain", False),
        (DriftOutcome.DETECTED, "yes", "ignore", False),
        (DriftOutcome.DETECTED, "unknown", "ask-for-labels", False),
        (DriftOutcome.SUSPECTED, "no", "ignore", False),
        (DriftOutcome.OK, "no", "ignore", False),
        (DriftOutcome.NO_DATA, "no", "ignore", False),
    ],
)
def test_only_drift_that_was_seen_and_does_no_harm_needs_no_retrain(
    outcome, hurting, advice, taken
):
    verdict = DriftVerdict(outcome, about(), 800, 800, 500, hurting=hurting, advice=advice)

    assert does_no_harm(ended(conclude(verdict))) is taken


def test_a_check_that_failed_or_never_began_says_nothing():
    assert not does_no_harm(ended(None))
    assert not does_no_harm(ended(Failed(message="hurting: no; ignore")))
