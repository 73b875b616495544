"""The page and the picture of a rollout."""

import pytest

from tasks.pictures.rollout import sides
from tasks.policy.canary import Finding
from tasks.policy.heard import Both, Heard
from tasks.policy.rollout_page import headline, page
from tasks.policy.watch import Look, Move
from tasks.records import Arm, Outcome

NEW, OLD = Arm("8", 1204, 37, 2, 10.0, 20.0, 31.4), Arm("7", 9850, 2, 0, 9.0, 18.0, 29.0)
HEARD = Both(
    Heard({"Oil": 9, "War": 45, "Web": 46}, 4),
    Heard({"Oil": 10, "War": 490, "Web": 500}, 31),
    0.75,
    1,
)


def look(percent, minutes, outcome, move, old=OLD, heard=None):
    reasons = (f"reason at {percent}",)
    return Look(percent, minutes, NEW, old, Finding(Outcome(outcome), reasons, {}), move, heard)


LOOKS = (
    look(10, 1, "INCONCLUSIVE", Move.WAIT),
    look(10, 30, "PASS", Move.GO_ON),
    look(50, 44.25, "FAIL", Move.GO_BACK, heard=HEARD),
)


def test_each_step_is_a_row_with_the_numbers_of_its_last_look():
    told = page("news", "8", LOOKS, ("![a picture](data:x)",))

    assert "# news: version 8 beside version 7" in told
    rows = [line for line in told.splitlines() if line.startswith("| ") and " % " in line]
    assert rows == [
        "| 10 % | PASS | 30.0 | 1,204 / 9,850 | 37 / 2 | 2 / 0 | 31 / 29 | - | - |",
        "| 50 % | FAIL | 44.2 | 1,204 / 9,850 | 37 / 2 | 2 / 0 | 31 / 29 | Oil 9 / 1 % | 4 / 3 % |",
    ]
    assert "- reason at 50" in told
    assert told.endswith("![a picture](data:x)\n")


def test_the_headline_says_where_it_stands_and_what_came_of_it():
    assert headline(LOOKS[-1]) == "50 % of the callers, minute 44.2 of the rollout: FAIL, went back"


@pytest.mark.parametrize(
    "looks",
    [LOOKS, LOOKS[:1], (look(100, 3, "PASS", Move.GO_ON, old=None),)],
    ids=["three", "one", "nothing beside it"],
)
def test_there_is_a_picture_however_far_it_came(looks):
    assert sides(looks, 0.01, 500).startswith(b"\x89PNG")


def test_looks_without_metrics_are_drawn_too():
    blind = Look(10, 1.0, Arm("8", 0, 0, 0), None, Finding(Outcome.ERROR, ("none",), {}), Move.WAIT)

    assert sides((blind,), 0.01, 500).startswith(b"\x89PNG")
    told = page("news", "8", (blind,), ())
    assert "| ERROR | 1.0 | 0 / - | 0 / - | 0 / - | - / - | - | - |" in told
