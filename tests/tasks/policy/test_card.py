from datetime import UTC, datetime, timedelta

from plugins.evaluations import VERSION, evaluated, judged, scored

from tasks.policy.card import card, summary
from tasks.policy.limits import limits
from training.formats import (
    BundleManifest,
    ClassScore,
    FeedbackRows,
    SnapshotFile,
    SnapshotManifest,
)

BUNDLE = BundleManifest(
    classifier="news",
    task="news-topic",
    base_model="bert-base-uncased",
    labels=("A", "B/C"),
    max_length=64,
    total_parameters=1_234_567,
    files={},
    hyperparameters={"seed": 42, "learning-rate": 2e-5},
    metrics={},
    snapshot_sha256="5" * 64,
    git_sha="abc123",
    job_name="job-7",
)
TRAIN = SnapshotFile(name="train.jsonl.gz", rows=1500, sha256="", labels={"A": 1000, "B/C": 500})
TEST = SnapshotFile(name="test.jsonl.gz", rows=200, sha256="", labels={})
DATA = SnapshotManifest(
    classifier="news",
    sha256="5" * 64,
    labels=("A", "B/C"),
    files={"train": TRAIN, "test": TEST},
    source="s3://raw/news",
    rows_read=1800,
    dropped={"duplicate": 100, "empty_text": 0},
)


def limits_of(**changes):
    return "\n".join(limits(BUNDLE, evaluated(**changes)))


def test_a_card_tells_of_rows_that_callers_labelled():
    day = datetime(2026, 3, 1, 8, tzinfo=UTC)
    rows = {"train": 300, "validation": 50, "test": 120}
    told = FeedbackRows(since=day, until=day + timedelta(days=7), labels=500, rows=rows)
    data = DATA.model_copy(update={"feedback": told})

    text = card(VERSION, BUNDLE, data, evaluated(), judged())

    assert (
        "300 train, 50 validation, 120 test are answers of this endpoint that callers labelled"
        " from 2026-03-01 08:00 to 2026-03-08 08:00 UTC."
    ) in text
    assert "labelled" not in card(VERSION, BUNDLE, DATA, evaluated(), judged())


def test_a_card_says_what_it_is_on_what_data_how_good_and_how_to_undo_it():
    text = card(VERSION, BUNDLE, DATA, evaluated(champion=scored(("A", "B/C"))), judged())

    for said in (
        "# bert-news version 7",
        "**PASS**: accuracy 0.900 >= 0.850",
        "2 classes: A or B/C.",
        "`bert-base-uncased`, 1,234,567 parameters",
        "git `abc123`",
        f"| bundle | `{'d' * 64}` |",
        f"Snapshot `{'5' * 64}`: 1,500 train, 200 test rows, from `s3://raw/news`.",
        "1,800 rows were read; dropped: 100 duplicate.",
        "| learning-rate | 2e-05 |",
        "| accuracy | 0.900 (0.851 to 0.934) | 0.900 (0.851 to 0.934) |",
        "| batches | 110 ms for 32, 300 texts/s |",
        "| B/C | 500 | 100 | 0.900 | 0.900 (0.826 to 0.945) | 0.900 |",
        "| short | 120 | 0.667 (0.578 to 0.745) | - | - | yes |",
        "- short: shortest tenth",
        "prefect deployment run 'deploy/news' -p version='\"7\"'",
    ):
        assert said in text


def test_the_same_inputs_give_the_same_card():
    assert card(VERSION, BUNDLE, DATA, evaluated(), judged()) == card(
        VERSION, BUNDLE, DATA, evaluated(), judged()
    )


def test_the_summary_holds_verdict_and_numbers():
    text = summary(evaluated(), judged(), VERSION)

    assert text.startswith("PASS: accuracy 0.900 >= 0.850\n\nAccuracy 0.900 (0.851 to 0.934)")
    assert "trained by job job-7" in text.lower()


def test_confidence_is_judged_by_its_numbers():
    labels = ("A", "B/C")

    assert "as high as accuracy" in limits_of()
    assert "surer than it is right (mean confidence 0.980, accuracy 0.900" in limits_of(
        challenger=scored(labels, confidence=0.98)
    )
    assert "less sure than it is right" in limits_of(challenger=scored(labels, confidence=0.8))


def test_parts_that_are_worse_and_parts_that_are_too_small_are_named():
    text = limits_of()

    assert "Worse on short texts (shortest tenth): accuracy 0.667" in text
    assert "Too few test rows to say how it does on: truncated (20 rows), rare classes (0" in text
    assert "after 64 tokens is not read; that cut 20 of 200 test rows (10.0%)." in text


def test_classes_never_found_and_classes_of_few_rows_are_named():
    score = scored(("A", "B/C"))
    never = ClassScore(precision=0, recall=0, f1=0, support=50)
    few = ClassScore(precision=1, recall=1, f1=1, support=3)

    text = limits_of(challenger=score.model_copy(update={"classes": {"A": never, "B/C": few}}))

    assert "Never found in the test rows: A." in text
    assert "Fewer than 20 test rows of: B/C (3)." in text
