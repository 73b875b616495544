import random
import time
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from bench.gates import LONG_TAIL, Case
from tasks.policy.comparison import compare
from training.formats import Answers

LABELS = ("A", "B", "C")
ONE = Case("three classes", "better", (0.02, -0.01, 0.03), rows=900, disagree=0.2)


def drawn(case: Case = ONE, seed: int = 3) -> Answers:
    return case.answers(np.random.default_rng(seed))


def test_differences_are_those_of_the_rows():
    answers = drawn()

    found = compare(answers, LABELS, "accuracy")

    truth, new, old = map(np.array, (answers.truth, answers.challenger, answers.champion))
    assert found.overall.difference == pytest.approx((new == truth).mean() - (old == truth).mean())
    for at, label in enumerate(LABELS):
        mine = truth == at
        gain = (new == truth)[mine].mean() - (old == truth)[mine].mean()
        assert found.classes[label].difference == pytest.approx(gain)
        assert found.classes[label].rows == mine.sum()


@pytest.mark.parametrize("unanswered", [False, True])
def test_macro_f1_is_the_one_that_evaluation_reports(unanswered):
    answers, labels = drawn(), (*LABELS, "D")
    if unanswered:
        answers = answers.model_copy(update={"challenger": (3, *answers.challenger[1:])})

    found = compare(answers, labels, "macro_f1")

    new, old = (
        f1_score(answers.truth, said, average="macro", zero_division=0)
        for said in (answers.challenger, answers.champion)
    )
    assert found.overall.difference == pytest.approx(new - old)
    assert "D" not in found.classes


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_the_order_of_labels_and_rows_changes_nothing(metric):
    answers = drawn()
    rows = list(zip(answers.truth, answers.challenger, answers.champion, strict=True))
    random.Random(1).shuffle(rows)
    truth, new, old = ([2 - label for label in column] for column in zip(*rows, strict=True))
    turned: dict[str, Any] = {"truth": truth, "challenger": new, "champion": old}

    found = compare(Answers.model_validate(turned), LABELS[::-1], metric)

    assert found == compare(answers, LABELS, metric)


def test_the_standard_error_is_the_known_one():
    answers = drawn()

    found = compare(answers, LABELS, "accuracy").overall

    truth, new, old = map(np.array, (answers.truth, answers.challenger, answers.champion))
    gain = (new == truth).astype(int) - (old == truth)
    assert found.error == pytest.approx(gain.std() / 900**0.5, rel=0.05)


def test_models_that_never_disagree_are_still_not_known_to_be_equal():
    same = drawn().model_copy(update={"champion": drawn().challenger})

    found = compare(same, LABELS, "accuracy").overall

    assert found.difference == 0
    assert found.low() < 0 < found.high()
    assert found.low(loss=0.01) < found.low()


def test_ten_thousand_rows_of_27_classes_take_no_minutes():
    case = Case("", "better", (0.0,) * 27, 10_000, shares=LONG_TAIL, right=0.5)
    answers = drawn(case)

    started = time.process_time()
    compare(answers, case.labels, "macro_f1")

    assert time.process_time() - started < 5
