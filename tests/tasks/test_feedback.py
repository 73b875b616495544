import json
from datetime import UTC, datetime, timedelta

import pytest
from plugins import logged

from tasks.errors import BadData
from tasks.feedback import feedback_accuracy, gather, new_labels
from tasks.feedback_window import FeedbackWindow
from training.redaction import redact

BUCKET = "perennial-data-test"
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
LAST_WEEK = FeedbackWindow(since=NOW - timedelta(days=7), until=NOW)

pytestmark = pytest.mark.usefixtures("settings_env", "engineless")


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture
def classifier(request) -> str:
    """A classifier of the test's own: all share one bucket."""
    return request.node.name.replace("_", "-")[5:24]


def log(classifier: str, answers: list, labels: list) -> None:
    logged.ship(BUCKET, [logged.answer(*one, classifier=classifier) for one in answers])
    logged.ship(BUCKET, [logged.label(*one, classifier) for one in labels])


def test_late_labels_count_for_the_window_of_their_answers(classifier):
    log(
        classifier,
        [("a", ago(30)), ("b", ago(30)), ("c", ago(29)), ("old", ago(40)), ("new", ago(2))],
        [
            *(("a", ago(29), "World"), ("b", ago(1), "Sports"), ("c", ago(28), "Sports")),
            *(("c", ago(3), "World"), ("old", ago(1), "World"), ("new", ago(1), "World")),
            ("nobody", ago(1), "World"),
        ],
    )

    found = feedback_accuracy(BUCKET, classifier, ago(31), ago(20))

    (one,) = found.versions
    assert (one.version, one.labelled, one.right) == ("1", 3, 2)
    assert found.of("digest of 1") == one
    assert found.unknown == 3


def test_no_labels_are_no_accuracy(classifier):
    assert feedback_accuracy(BUCKET, classifier, ago(31), NOW).versions == ()


def test_rows_to_learn_from_are_texts_with_their_last_label(classifier, tmp_path):
    log(
        classifier,
        [
            ("a", ago(30), "one"),
            ("b.0", ago(6), "two"),
            ("b.1", ago(6), "one"),
            ("c", ago(90), "3"),
        ],
        [
            *(("a", ago(6), "World"), ("b.0", ago(5), "Sports"), ("b.1", ago(4), "Sports")),
            *(("b.0", ago(3), "World"), ("c", ago(3), "World"), ("late", ago(-1), "World")),
        ],
    )

    found = gather(BUCKET, classifier, LAST_WEEK, str(tmp_path))

    rows = [json.loads(line) for line in found.file.read_text().splitlines()]
    assert rows == [{"label": "Sports", "text": "one"}, {"label": "World", "text": "two"}]
    assert (found.labels, found.rows) == (4, 2)
    assert new_labels(BUCKET, classifier, LAST_WEEK) == 3


def test_hashes_are_not_learned_from(classifier, tmp_path):
    hashed = redact("a text", "hash")
    log(classifier, [("a", ago(3), hashed)], [("a", ago(2), "World")])

    with pytest.raises(BadData, match=r"hashed_texts: .*1 labelled texts.* set text = \"mask\""):
        gather(BUCKET, classifier, LAST_WEEK, str(tmp_path))


def test_texts_logged_before_the_policy_was_hash_are_still_learned_from(classifier, tmp_path):
    hashed = redact("a text", "hash")
    log(
        classifier,
        [("a", ago(3), hashed), ("b", ago(4), "readable")],
        [("a", ago(2), "World"), ("b", ago(2), "World")],
    )

    assert gather(BUCKET, classifier, LAST_WEEK, str(tmp_path)).rows == 1


def test_hashes_are_left_out_where_nobody_needs_labels(classifier, tmp_path, caplog):
    hashed = redact("a text", "hash")
    log(classifier, [("a", ago(3), hashed)], [("a", ago(2), "World")])
    offered = LAST_WEEK.model_copy(update={"needed": False})

    assert gather(BUCKET, classifier, offered, str(tmp_path)) is None
    assert "the log holds hashes" in caplog.text


def test_an_empty_window_is_nothing_to_learn_from(classifier, tmp_path):
    assert gather(BUCKET, classifier, LAST_WEEK, str(tmp_path)) is None


def test_a_window_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="must be before until"):
        FeedbackWindow(since=NOW, until=ago(1))
