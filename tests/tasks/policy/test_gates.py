from math import nan
from typing import Any

import pytest

from tasks.classifiers import Gates
from tasks.policy.gates import judge
from tasks.records import Outcome
from training.formats import Answers, ClassScore, Evaluation, Latency, ModelScore, Slice

GATES = Gates(accuracy=0.85, class_recall=0.7, minimum_rows=200)
LATENCY = Latency(p50_ms=10, p95_ms=20, p99_ms=30)
SIZES = (1000, 1000)


def scored(digest: str, truth: list[int], said: list[int], classes: int) -> ModelScore:
    right = [
        sum(t == s == label for t, s in zip(truth, said, strict=True)) for label in range(classes)
    ]
    rows = [truth.count(label) for label in range(classes)]
    return ModelScore(
        bundle_digest=digest,
        accuracy=sum(right) / len(truth),
        macro_f1=0.9,
        ece=0.05,
        classes={
            "ABC"[at]: ClassScore(precision=0.9, recall=r / max(n, 1), f1=0.9, support=n)
            for at, (r, n) in enumerate(zip(right, rows, strict=True))
        },
        confusion=(),
        latency=LATENCY,
        rows_per_s=50,
    )


def evaluated(
    *missed: tuple[int, int, int], sizes: tuple[int, ...] = SIZES, champion: bool = False
):
    """Two classes; of each the rows that both models, only the new and only the old one miss."""
    missed = missed or ((100, 0, 0),) * len(sizes)
    truth: list[int] = []
    new: list[int] = []
    old: list[int] = []
    for label, (size, (both, ours, theirs)) in enumerate(zip(sizes, missed, strict=True)):
        other = (label + 1) % len(sizes)
        rest = size - both - ours - theirs
        truth += [label] * size
        new += [other] * (both + ours) + [label] * (theirs + rest)
        old += [other] * both + [label] * ours + [other] * theirs + [label] * rest
    return Evaluation(
        classifier="news",
        snapshot_sha256="data",
        rows=len(truth),
        labels=tuple("ABC"[: len(sizes)]),
        challenger=scored("new", truth, new, len(sizes)),
        champion=scored("old", truth, old, len(sizes)) if champion else None,
        answers=Answers(
            truth=tuple(truth), challenger=tuple(new), champion=tuple(old) if champion else ()
        ),
    )


def beside(*missed: tuple[int, int, int], **changes: Any) -> Evaluation:
    return evaluated(*missed, champion=True, **changes)


def changed(evaluation: Evaluation, part: str, **values: Any) -> Evaluation:
    """The same with other values in one of its parts; the model's validation is passed by."""
    inner = getattr(evaluation, part).model_copy(update=values)
    return evaluation.model_copy(update={part: inner})


def verdict(
    evaluation: Evaluation | None, champion: str | None = None, **gates: Any
) -> tuple[Outcome, str]:
    asked = GATES.model_copy(update=gates)
    outcome, reasons, _ = judge(evaluation, asked, "new", champion, "data")
    return outcome, "; ".join(reasons)


def test_a_good_first_model_passes_and_says_why():
    assert verdict(evaluated()) == (
        Outcome.PASS,
        "accuracy 0.900 >= 0.850; recall of A 0.900 >= 0.700; no champion to compare with",
    )


def test_an_accuracy_under_the_floor_fails_with_its_numbers():
    found = verdict(evaluated((188, 0, 0), (188, 0, 0)))

    assert found == (Outcome.FAIL, "accuracy 0.8120 under the floor 0.850")


def test_a_macro_f1_under_the_floor_fails_although_accuracy_is_high():
    found = verdict(changed(evaluated(), "challenger", macro_f1=0.08), macro_f1=0.5)

    assert found == (Outcome.FAIL, "macro-F1 0.0800 under the floor 0.500")


def test_a_class_that_is_not_found_fails_when_it_has_rows_enough():
    assert verdict(evaluated((0, 0, 0), (12, 0, 0), sizes=(1000, 20))) == (
        Outcome.FAIL,
        "recall of B 0.4000 under the floor 0.700",
    )
    assert verdict(evaluated((0, 0, 0), (12, 0, 0), sizes=(1000, 19)))[0] == Outcome.PASS


def test_too_few_rows_are_inconclusive():
    assert verdict(evaluated((0, 0, 0), (0, 0, 0), sizes=(75, 75))) == (
        Outcome.INCONCLUSIVE,
        "150 test rows, at least 200 are needed",
    )


def test_a_class_without_test_rows_is_no_reason_against_a_model():
    zero = (0, 0, 0)

    assert verdict(beside(zero, (50, 0, 100), zero, sizes=(900, 900, 0)), "old")[0] == Outcome.PASS


GOOD, PAIR = evaluated(), beside()
CLASSES = GOOD.challenger.classes
NAN_RECALL = CLASSES | {"A": CLASSES["A"].model_copy(update={"recall": nan})}
TURNED = {"A": CLASSES["A"].model_copy(update={"recall": 0.95}), "B": CLASSES["B"]}
ANSWERS = PAIR.answers
assert ANSWERS is not None


@pytest.mark.parametrize(
    ("evaluation", "reason"),
    [
        (None, "does not hold an evaluation"),
        (changed(GOOD, "challenger", accuracy=nan), "challenger accuracy is not a number"),
        (changed(GOOD, "challenger", macro_f1=nan), "challenger macro-F1 is not a number"),
        (changed(GOOD, "challenger", classes=NAN_RECALL), "recall of A is not a number"),
        (changed(GOOD, "challenger", classes={"A": CLASSES["A"]}), "no numbers for class B"),
        (changed(GOOD, "challenger", bundle_digest="x"), "challenger is x in the evaluation, new"),
        (GOOD.model_copy(update={"snapshot_sha256": "else"}), "snapshot is else"),
        (GOOD.model_copy(update={"answers": None}), "train and evaluate again"),
        (PAIR, "champion is old in the evaluation, none was asked for"),
    ],
)
def test_what_cannot_be_judged_is_an_error(evaluation, reason):
    outcome, reasons = verdict(evaluation)

    assert outcome == Outcome.ERROR
    assert reason in reasons


@pytest.mark.parametrize(
    ("evaluation", "reason"),
    [
        (GOOD, "champion is none in the evaluation, old was asked for"),
        (changed(PAIR, "champion", accuracy=nan), "champion accuracy is not a number"),
        (changed(PAIR, "champion", classes=TURNED), "champion recall of A is 0.95, but 0.9 by its"),
        (changed(PAIR, "answers", champion=()), "champion's answers: 0 rows, the evaluation has"),
        (changed(PAIR, "answers", truth=ANSWERS.truth[1:]), "truth: 1999 rows, the evaluation"),
        (changed(PAIR, "answers", champion=(2,) * 2000), "not the number of one of the 2 labels"),
        (changed(PAIR, "answers", challenger=ANSWERS.truth), "challenger accuracy is 0.9, but 1"),
        (PAIR.model_copy(update={"rows": 1000}), "2000 rows, the evaluation has 1000"),
    ],
)
def test_a_comparison_whose_parts_do_not_fit_is_an_error(evaluation, reason):
    outcome, reasons = verdict(evaluation, "old")

    assert outcome == Outcome.ERROR
    assert reason in reasons


def test_numbers_that_are_none_are_left_out_of_the_verdict():
    *_, numbers = judge(changed(GOOD, "challenger", accuracy=nan), GATES, "new", None, "data")

    assert "accuracy" not in numbers
    assert numbers["rows"] == 2000


def test_a_challenger_that_is_shown_to_be_better_passes():
    outcome, reasons = verdict(beside((100, 10, 40), (100, 10, 40)), "old")

    assert outcome == Outcome.PASS
    assert "accuracy +0.030 against the champion (95 % interval +0.020 to" in reasons
    assert "2 of 2 classes have too few rows for a loss of 0.020 to show: A has 1000" in reasons


def test_a_challenger_as_good_as_the_champion_is_not_better_and_need_not_be():
    even = beside((100, 10, 10), (100, 10, 10))

    assert verdict(even, "old")[0] == Outcome.INCONCLUSIVE
    assert "more rows would not show it at this difference" in verdict(even, "old")[1]
    assert verdict(even, "old", rule="not-worse")[0] == Outcome.PASS


def test_rows_that_would_be_enough_are_told():
    outcome, reasons = verdict(beside((100, 10, 15), (100, 10, 15)), "old")

    assert outcome == Outcome.INCONCLUSIVE
    assert "about 7,891 rows would show it" in reasons


def test_a_challenger_that_is_clearly_worse_fails_by_either_rule():
    worse = beside((60, 50, 10), (60, 50, 10))

    for rule in ("better", "not-worse"):
        outcome, reasons = verdict(worse, "old", rule=rule)
        assert outcome == Outcome.FAIL
        assert "accuracy -0.040 against the champion" in reasons


def test_a_small_class_with_a_proved_loss_blocks_and_any_other_does_not():
    gain = (50, 0, 100)

    proved = verdict(beside(gain, (0, 15, 0), sizes=(1000, 100)), "old")
    unproved = verdict(beside(gain, (0, 4, 0), sizes=(1000, 100)), "old")

    assert proved[0] == Outcome.FAIL
    assert "recall of B -0.150" in proved[1]
    assert unproved[0] == Outcome.PASS


def test_a_large_class_that_may_have_lost_two_points_is_held_back():
    unclear = beside((100, 140, 50), (100, 0, 300), sizes=(5000, 5000))

    outcome, reasons = verdict(unclear, "old")

    assert outcome == Outcome.FAIL
    assert "recall of A -0.018 (95 % interval" in reasons


def test_a_slice_that_is_worse_is_told_and_does_not_block():
    short = Slice(
        name="short",
        rule="",
        rows=200,
        adequate=True,
        right=150,
        champion_right=180,
        only_challenger=5,
        only_champion=35,
    )
    even = short.model_copy(update={"name": "long", "only_champion": 5})
    better = beside((100, 10, 40), (100, 10, 40))

    outcome, reasons = verdict(better.model_copy(update={"slices": (short, even)}), "old")

    assert outcome == Outcome.PASS
    assert "accuracy on slice short -0.150" in reasons
    assert "slice long" not in reasons
