import random
from math import nan
from typing import Any

import pytest

from tasks.classifiers import Gates
from tasks.policy.comparison import compare
from tasks.policy.gates import judge
from tasks.records import Outcome
from training.formats import ClassScore, Evaluation, Latency, ModelScore, Paired

GATES = Gates(accuracy=0.85, class_recall=0.7, minimum_rows=200)
LATENCY = Latency(p50_ms=10, p95_ms=20, p99_ms=30)
EVEN = Paired(both_right=1780, only_challenger=20, only_champion=20, both_wrong=180)


def scored(digest: str = "new", support: int = 1000, **changes: Any) -> ModelScore:
    recalls = changes.pop("recalls", (0.9, 0.9))
    classes = {
        label: ClassScore(precision=0.9, recall=recall, f1=0.9, support=support)
        for label, recall in zip("AB", recalls, strict=True)
    }
    values = {"accuracy": 0.9, "macro_f1": 0.9, "ece": 0.05} | changes
    return ModelScore(
        bundle_digest=digest,
        classes=classes,
        confusion=((900, 100), (100, 900)),
        latency=LATENCY,
        rows_per_s=50,
        **values,
    )


def evaluated(challenger: ModelScore | None = None, **changes: Any) -> Evaluation:
    values: dict[str, Any] = {"classifier": "news", "snapshot_sha256": "data", "rows": 2000}
    values |= {"labels": ("A", "B"), "challenger": challenger or scored()}
    return Evaluation(**values | changes)


def beside_champion(paired: Paired = EVEN, **changes: Any) -> Evaluation:
    return evaluated(champion=scored("old"), paired=paired, **changes)


def verdict(evaluation: Evaluation | None, champion: str | None = None) -> tuple[Outcome, str]:
    outcome, reasons, _ = judge(evaluation, GATES, "new", champion, "data")
    return outcome, "; ".join(reasons)


def test_a_good_first_model_passes_and_says_why():
    assert verdict(evaluated()) == (
        Outcome.PASS,
        "accuracy 0.900 >= 0.850; recall of A 0.900 >= 0.700; no champion to compare with",
    )


def test_an_accuracy_under_the_floor_fails_with_its_numbers():
    found = verdict(evaluated(scored(accuracy=0.812)))

    assert found == (Outcome.FAIL, "accuracy 0.812 under the floor 0.850")


def test_a_macro_f1_under_the_floor_fails_although_accuracy_is_high():
    gates = GATES.model_copy(update={"macro_f1": 0.5})

    outcome, reasons, _ = judge(evaluated(scored(macro_f1=0.08)), gates, "new", None, "data")

    assert (outcome, reasons) == (Outcome.FAIL, ("macro-F1 0.080 under the floor 0.500",))


def test_a_class_that_is_not_found_fails():
    found = verdict(evaluated(scored(recalls=(0.95, 0.4))))

    assert found == (Outcome.FAIL, "recall of B 0.400 under the floor 0.700")


def test_a_class_with_few_rows_does_not_block():
    assert verdict(evaluated(scored(recalls=(0.95, 0.0), support=19)))[0] == Outcome.PASS
    assert verdict(evaluated(scored(recalls=(0.95, 0.0), support=20)))[0] == Outcome.FAIL


def test_too_few_rows_are_inconclusive():
    assert verdict(evaluated(rows=150)) == (
        Outcome.INCONCLUSIVE,
        "150 test rows, at least 200 are needed",
    )


@pytest.mark.parametrize(
    ("evaluation", "reason"),
    [
        (None, "does not hold an evaluation"),
        (evaluated(scored(accuracy=nan)), "challenger accuracy is not a number"),
        (evaluated(scored(macro_f1=nan)), "challenger macro-F1 is not a number"),
        (evaluated(scored(recalls=(nan, 1))), "recall of A is not a number"),
        (evaluated(scored("other")), "challenger is other in the evaluation, new was asked for"),
        (evaluated(snapshot_sha256="else"), "snapshot is else"),
        (evaluated(labels=("A", "B", "C")), "no numbers for class C"),
        (beside_champion(), "champion is old in the evaluation, none was asked for"),
    ],
)
def test_what_cannot_be_judged_is_an_error(evaluation, reason):
    outcome, reasons = verdict(evaluation)

    assert outcome == Outcome.ERROR
    assert reason in reasons


@pytest.mark.parametrize(
    ("evaluation", "reason"),
    [
        (evaluated(), "champion is none in the evaluation, old was asked for"),
        (evaluated(champion=scored("old")), "must be there together"),
        (
            beside_champion(Paired(both_right=1, only_challenger=0, only_champion=0, both_wrong=0)),
            "do not add up to 2000 rows",
        ),
        (evaluated(champion=scored("old", accuracy=nan), paired=EVEN), "champion accuracy is not"),
    ],
)
def test_a_champion_that_cannot_be_read_is_an_error(evaluation, reason):
    outcome, reasons = verdict(evaluation, champion="old")

    assert outcome == Outcome.ERROR
    assert reason in reasons


def test_numbers_that_are_none_are_left_out_of_the_verdict():
    *_, numbers = judge(evaluated(scored(accuracy=nan)), GATES, "new", None, "data")

    assert "accuracy" not in numbers
    assert numbers["rows"] == 2000


def test_a_challenger_as_good_as_the_champion_passes():
    outcome, reasons = verdict(beside_champion(), champion="old")

    assert outcome == Outcome.PASS
    assert "accuracy +0.000 against the champion (90 % interval -0.005 to +0.005" in reasons


def test_a_challenger_that_is_clearly_worse_fails():
    worse = Paired(both_right=1700, only_challenger=20, only_champion=100, both_wrong=180)

    outcome, reasons = verdict(beside_champion(worse), champion="old")

    assert outcome == Outcome.FAIL
    assert "accuracy -0.040 against the champion" in reasons


def test_a_difference_that_cannot_be_told_is_inconclusive():
    unclear = Paired(both_right=150, only_challenger=15, only_champion=16, both_wrong=19)

    outcome, reasons = verdict(beside_champion(unclear, rows=200), champion="old")

    assert outcome == Outcome.INCONCLUSIVE
    assert "cannot tell whether it is more than 0.010 worse" in reasons


def test_a_model_exactly_as_bad_as_the_margin_passes_at_most_one_time_in_twenty():
    rng = random.Random(7)
    rows, won, lost = 2000, 0.02, 0.03
    passed = 0

    for _ in range(400):
        draws = [rng.random() for _ in range(rows)]
        b = sum(draw < won for draw in draws)
        c = sum(won <= draw < won + lost for draw in draws)
        rest = rows - b - c
        table = Paired(both_right=rest, only_challenger=b, only_champion=c, both_wrong=0)
        passed += compare(table, margin=0.01)[0] == Outcome.PASS

    assert passed / 400 < 0.075
