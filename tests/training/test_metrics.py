import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from training import metrics

LABELS = ("b", "a", "never", "c")
LABELLED = st.lists(st.tuples(*[st.sampled_from("abc")] * 2), min_size=1, max_size=60)
ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=200)


@given(LABELLED)
def test_classes_are_counted_as_scikit_learn_counts_them(pairs):
    truth, answers = zip(*pairs, strict=True)

    found = metrics.per_class(truth, answers, LABELS)

    wanted = precision_recall_fscore_support(truth, answers, labels=LABELS, zero_division=0)
    seen = [(one.precision, one.recall, one.f1, one.support) for one in found.values()]
    assert list(found) == list(LABELS)
    assert seen == [pytest.approx(row) for row in zip(*wanted, strict=True)]
    assert metrics.confusion(truth, answers, LABELS) == tuple(
        map(tuple, confusion_matrix(truth, answers, labels=LABELS).tolist())
    )
    assert metrics.macro_f1(truth, answers) == pytest.approx(
        f1_score(truth, answers, average="macro", zero_division=0)
    )


@given(ANSWERS)
def test_every_answer_is_in_one_bin(answers):
    sure, right = [one for one, _ in answers], [one for _, one in answers]

    bins = metrics.bins(sure, right)

    assert len(bins) == 15
    assert sum(one.rows for one in bins) == len(answers)
    assert sum(one.rows * one.accuracy for one in bins) == pytest.approx(sum(right))
    assert sum(one.rows * one.confidence for one in bins) == pytest.approx(sum(sure), abs=1e-9)
    assert 0 <= metrics.calibration_error(bins) <= 1


def test_calibration_error_is_the_mean_gap_over_rows():
    bins = metrics.bins([0.95, 0.95, 0.95, 0.95, 0.5, 1.0], [True, True, True, False, True, True])

    # 0.95 and 1.0 share the last bin: 4.8 of 5 claimed, 4 right; 0.5 claimed 0.5, 1 right.
    assert [one.rows for one in bins if one.rows] == [1, 5]
    assert metrics.calibration_error(bins) == pytest.approx((0.8 + 0.5) / 6)


def test_latency_says_how_many_calls_of_how_many_texts_it_is_of():
    found = metrics.latency([float(value) for value in range(1, 101)], texts=32)

    assert (found.p50_ms, found.calls, found.texts) == (50.5, 100, 32)
    assert found.p50_ms < found.p95_ms < found.p99_ms
