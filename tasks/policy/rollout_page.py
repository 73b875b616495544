"""A rollout as the page that people read in Prefect: each step and the numbers that decided it."""

from collections.abc import Callable, Sequence
from itertools import groupby

from tasks.policy.verdict_page import MARKS
from tasks.policy.watch import Look, Move
from tasks.records import Arm

_HEAD = (
    "| callers | verdict | until | requests | errors | slow | p99 ms | most moved label | unsure |",
    "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
)
_SAID = {
    Move.WAIT: "looking",
    Move.GO_ON: "went on",
    Move.SCALE_OUT: "one more instance, looking again",
    Move.PROBE: "probes sent, looking again",
    Move.TAKE_ALL: "the old side is down: all callers to the new one",
    Move.GO_BACK: "went back",
    Move.GIVE_UP: "given up, went back",
}


def page(classifier: str, version: str, looks: Sequence[Look], pictures: Sequence[str]) -> str:
    """The last look at each step, new against old, with what was concluded; then the pictures."""
    last = [list(seen)[-1] for _, seen in groupby(looks, key=lambda look: look.percent)]
    now = last[-1]
    beside = next((look.old.version for look in looks if look.old), None)
    old = f" beside version {beside}" if beside else ""
    parts = [
        f"# {classifier}: version {version}{old}",
        f"{MARKS[now.finding.outcome]} {headline(now)}",
        "New version / old version, the same minutes; 4xx are not counted. Labels and unsure "
        "answers are shares of the different texts in the prediction log.",
        "\n".join([*_HEAD, *map(_row, last)]),
        *("\n".join(_reasons(look)) for look in last),
        *pictures,
    ]
    return "\n\n".join(parts) + "\n"


def headline(look: Look) -> str:
    """Where the rollout stands, in one line."""
    return (
        f"{look.percent} % of the callers, minute {look.minutes:.1f} of the rollout: "
        f"{look.finding.outcome}, {_SAID[look.move]}"
    )


def _row(look: Look) -> str:
    cells = [
        f"{look.percent} %",
        f"{look.finding.outcome}",
        f"{look.minutes:.1f}",
        _both(look, lambda arm: f"{arm.requests:,}"),
        _both(look, lambda arm: f"{arm.errors:,}"),
        _both(look, lambda arm: f"{arm.slow:,}"),
        _both(look, lambda arm: "-" if arm.p99_ms is None else f"{arm.p99_ms:.0f}"),
        *_answers(look),
    ]
    return f"| {' | '.join(cells)} |"


def _both(look: Look, told: Callable[[Arm], str]) -> str:
    return f"{told(look.new)} / {told(look.old) if look.old else '-'}"


def _answers(look: Look) -> tuple[str, str]:
    both = look.heard
    if both is None or both.until_ms is None:
        return "-", "-"
    moved, sides = both.moved, (both.new, both.old)
    shares = " / ".join(f"{100 * side.share(moved):.0f}" for side in sides)
    unsure = " / ".join(f"{100 * side.unsure_share:.0f}" for side in sides)
    return f"{moved} {shares} %", f"{unsure} %"


def _reasons(look: Look) -> list[str]:
    return [
        f"**{look.percent} %** {_SAID[look.move]}:",
        *(f"- {one}" for one in look.finding.reasons),
    ]
