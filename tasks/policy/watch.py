"""What to do after a look at a rollout: wait, go on, ask for more, or go back."""

from dataclasses import dataclass
from enum import StrEnum

from tasks.policy.canary import Finding
from tasks.policy.heard import Both
from tasks.records import Arm, Outcome
from tasks.strategy import Step

# A step may take this many times its minutes before probes are sent, and before it is given up.
_PATIENCE, _END = 2.0, 3.0
# One look may meet a restart; two in a row are a side that is down.
_DOWN_LOOKS = 2


class Move(StrEnum):
    WAIT = "wait"
    GO_ON = "go on"
    SCALE_OUT = "scale out"
    PROBE = "probe"
    TAKE_ALL = "take all"
    GO_BACK = "go back"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a step found; `minutes` since the rollout began to move callers.

    heard: what the prediction log tells of both versions; None where it tells nothing.
    """

    percent: int
    minutes: float
    new: Arm
    old: Arm | None
    finding: Finding
    move: Move
    heard: Both | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of a step so far; `down` counts the looks in a row that found a side sick."""

    minutes: float
    outcome: Outcome
    slow_only: bool = False
    new_down: int = 0
    old_down: int = 0
    probed: bool = False
    scaled: bool = False


def next_move(step: Step, seen: Watched) -> Move:
    """Only PASS goes on, and only when the step's minutes are over.

    The side that answers is never left for one that does not: a sick new version goes back at
    once, a sick old one hands its callers over to the new one, which has passed its gate.
    """
    if seen.new_down and seen.old_down:
        return _unless_over(step, seen, Move.WAIT)
    if seen.new_down >= _DOWN_LOOKS:
        return Move.GO_BACK
    if seen.old_down >= _DOWN_LOOKS:
        return Move.TAKE_ALL
    if seen.outcome is Outcome.FAIL:
        return Move.SCALE_OUT if seen.slow_only and not seen.scaled else Move.GO_BACK
    if seen.minutes < step.minutes or seen.new_down:
        return _unless_over(step, seen, Move.WAIT)
    if seen.outcome is Outcome.PASS:
        return Move.GO_ON
    late = seen.outcome is Outcome.INCONCLUSIVE and seen.minutes >= _PATIENCE * step.minutes
    return _unless_over(step, seen, Move.PROBE if late and not seen.probed else Move.WAIT)


def _unless_over(step: Step, seen: Watched, move: Move) -> Move:
    return Move.GIVE_UP if seen.minutes >= _END * step.minutes else move
