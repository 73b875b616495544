import json

import pytest

from tasks.policy.answers import Asked, objections
from tasks.records import Answer

LABELS = ("World", "Sports", "Business", "Sci/Tech")
DIGEST = "d" * 64
A2 = {
    "prediction": "Sports",
    "confidence": 0.9,
    "model_version": "7",
    "processing_time": 0.01,
    "timestamp": "2026-01-15T10:30:00Z",
}
A1 = {"main_category": ["Sports", "World", "Business"], "probabilities": [0.7, 0.2, 0.1]}


def said(body, contract="text", status=200, version="7", digest=DIGEST):
    text = body if isinstance(body, str) else json.dumps(body)
    return Asked(contract, "Sports", Answer(status, text, version, digest))


@pytest.mark.parametrize("answer", [said(A2), said({**A2, "truncated": True}), said(A1, "data")])
def test_a_good_answer_has_nothing_against_it(answer):
    assert objections(answer, LABELS, "7", DIGEST) == []
    assert answer.right


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said("broken", status=500), "status 500: broken"),
        (said("ConnectError: refused", status=0), "status 0: ConnectError: refused"),
        (said("<html>"), "not a JSON object: <html>"),
        (said([1]), "not a JSON object"),
        (said(A2, version="6"), "answered by version 6, not 7"),
        (said(A2, version=""), "answered by version unknown, not 7"),
        (said(A2, digest="e" * 64), "answered by bundle eeeeeeeeeeee, not dddddddddddd"),
        (said({**A2, "prediction": "NEUTRAL"}), "label 'NEUTRAL' is not among"),
        (said({**A2, "confidence": 1}), "confidence is a int, not a float"),
        (said({**A2, "confidence": float("nan")}), "confidence nan is outside 0 to 1"),
        (said({**A2, "extra": 1}), "key 'extra' is not in the contract"),
        (said({"prediction": "Sports"}), "key 'confidence' is missing"),
        (said({**A1, "main_category": "Sports"}, "data"), "main_category is a str, not a list"),
        (said({**A1, "probabilities": [0.7]}, "data"), "3 categories and 1 probabilities"),
        (said({**A1, "probabilities": [1.7, 0.2, 0.1]}, "data"), "probability 1.7 is outside"),
        (said({**A1, "main_category": ["A", "World", "Sports"]}, "data"), "label 'A' is not"),
    ],
)
def test_a_bad_answer_is_told_by_its_reason(answer, reason):
    assert reason in "; ".join(objections(answer, LABELS, "7", DIGEST))


def test_two_classes_answer_their_top_two():
    two = {"main_category": ["POSITIVE", "NEGATIVE"], "probabilities": [0.9, 0.1]}

    assert objections(said(two, "data"), ("NEGATIVE", "POSITIVE"), "7", DIGEST) == []


@pytest.mark.parametrize(
    "answer", [said({**A2, "prediction": "World"}), said(A2, status=500), said("<html>")]
)
def test_only_the_label_of_the_test_split_is_right(answer):
    assert not answer.right
