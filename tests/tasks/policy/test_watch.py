"""The move after each look: nothing but PASS goes on, and no callers are left with a sick side."""

import itertools

import pytest

from tasks.policy.watch import Move, Watched, next_move
from tasks.records import Outcome
from tasks.strategy import Step

STEP = Step(percent=10, minutes=30)


@pytest.mark.parametrize(
    ("minutes", "outcome", "more", "move"),
    [
        (5, "PASS", {}, Move.WAIT),
        (30, "PASS", {}, Move.GO_ON),
        (30, "INCONCLUSIVE", {}, Move.WAIT),
        (60, "INCONCLUSIVE", {}, Move.PROBE),
        (61, "INCONCLUSIVE", {"probed": True}, Move.WAIT),
        (90, "INCONCLUSIVE", {"probed": True}, Move.GIVE_UP),
        (5, "FAIL", {}, Move.GO_BACK),
        (5, "FAIL", {"slow_only": True}, Move.SCALE_OUT),
        (9, "FAIL", {"slow_only": True, "scaled": True}, Move.GO_BACK),
        (60, "ERROR", {}, Move.WAIT),
        (90, "ERROR", {}, Move.GIVE_UP),
        (5, "PASS", {"new_down": 1}, Move.WAIT),
        (5, "PASS", {"new_down": 2}, Move.GO_BACK),
        (40, "PASS", {"new_down": 1}, Move.WAIT),
        (5, "INCONCLUSIVE", {"old_down": 2}, Move.TAKE_ALL),
        (5, "ERROR", {"old_down": 2, "new_down": 2}, Move.WAIT),
        (90, "ERROR", {"old_down": 2, "new_down": 2}, Move.GIVE_UP),
    ],
)
def test_move_after_a_look(minutes, outcome, more, move):
    assert next_move(STEP, Watched(minutes, Outcome(outcome), **more)) is move


def test_only_a_pass_ever_goes_on_and_every_step_ends():
    flags = itertools.product([False, True], repeat=3)
    downs = itertools.product([0, 1, 2], repeat=2)
    for outcome, (slow, probed, scaled), (new, old) in itertools.product(Outcome, flags, downs):
        for minutes in (0, 30, 60, 89):
            seen = Watched(minutes, outcome, slow, new, old, probed, scaled)
            if next_move(STEP, seen) is Move.GO_ON:
                assert outcome is Outcome.PASS
                assert new == 0
        over = Watched(90, outcome, slow, new, old, probed=True, scaled=True)
        assert next_move(STEP, over) not in {Move.WAIT, Move.PROBE, Move.SCALE_OUT}
