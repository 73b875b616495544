from math import nan

from plugins.evaluations import evaluated, judged, scored

from tasks.policy.measures import measures
from tasks.policy.verdict_page import page
from tasks.records import Outcome
from training.formats import Paired

LABELS = ("A", "B/C")
PAIRED = Paired(both_right=170, only_challenger=12, only_champion=10, both_wrong=8)


def test_a_page_shows_outcome_models_parts_pictures_classes_and_numbers():
    beside = evaluated(champion=scored(LABELS, share=0.8), paired=PAIRED)

    text = page(judged(), beside, ["![one](data:...)"])

    for said in (
        "## ✅ news version 7: PASS\n- accuracy 0.900 >= 0.850",
        "| accuracy | 0.900 | 0.800 |",
        "| one text, p50 / p95 / p99 | 10 / 20 / 30 ms | 10 / 20 / 30 ms |",
        "| 32 texts, p50 / p95 / p99 | 110 / 120 / 130 ms |",
        "| right where the other is wrong | 12 | 10 |",
        "| rare classes | 0 | - | - | - | no |",
        "\n![one](data:...)\n",
        "| B/C | 100 | 0.900 | 0.900 | 0.900 | 0.800 |",
        "| difference_low | 0.0123 |",
        "evidence `s3://models/evaluations/e/evaluation.json`",
    ):
        assert said in text


def test_a_page_says_why_a_champion_was_not_scored():
    text = page(judged(Outcome.ERROR), evaluated(champion_refused="its labels are X"))

    assert "The champion was not scored: its labels are X." in text


def test_a_page_without_an_evaluation_has_the_reasons():
    assert "- accuracy 0.900" in page(judged(Outcome.ERROR), None)


def test_metrics_of_every_class_and_part_have_names_that_mlflow_takes():
    found = measures(judged(), evaluated(champion=scored(LABELS, share=0.8)))

    assert found["evaluation/difference_low"] == 0.0123
    assert found["evaluation_classes/B_C.recall"] == 0.9
    assert found["evaluation_classes/champion_B_C.recall"] == 0.8
    assert found["evaluation_slices/short.accuracy"] == 80 / 120
    assert found["evaluation/batch_p95_ms"] == 120
    assert "evaluation_slices/rare classes.accuracy" not in found


def test_a_number_that_is_none_is_no_metric():
    assert "evaluation/x" not in measures(judged(numbers={"x": nan}), None)
