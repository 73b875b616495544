import math

from bench.generator import Outcome
from bench.goals import Run, judged
from bench.measures import Measured


def measured(rps: int, ms: float) -> Measured:
    latencies = [int(ms * 1e3)] * rps
    return Measured([Outcome(latencies, rps, {"200": rps}, 1.0, 0.5, 0.1, {})])


def run(**closed: Measured) -> dict[str, tuple[float, bool]]:
    found = Run({(name.replace("_", "-"), 32): one for name, one in closed.items()})
    return {goal.name: (goal.value, goal.reached) for goal in judged(found, "ours", "torch")}


def test_best_engine_of_a_peer_is_the_one_to_beat():
    goals = run(
        ours=measured(300, 90),
        infinity_torch=measured(50, 900),
        infinity_optimum=measured(200, 100),
    )

    assert goals["requests/s beside infinity, ratio"] == (1.5, False)
    assert goals["p99 beside infinity, ratio"] == (0.9, True)


def test_peer_that_did_not_run_is_no_goal_reached():
    goals = run(ours=measured(300, 90))

    value, reached = goals["requests/s beside asgi-grouped, ratio"]
    assert math.isnan(value)
    assert not reached


def test_late_answers_are_not_in_the_goodput():
    late = measured(100, 1_500)
    late.outcomes += measured(50, 20).outcomes

    assert late.rps == 75
    assert late.goodput == 25
