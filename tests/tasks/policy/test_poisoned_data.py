"""Bad rows on purpose: what ingest refuses or cures, and what the gate finds after training."""

import random
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tasks import classifiers
from tasks.classifiers import Gates
from tasks.errors import BadData
from tasks.policy.cleaning import Clean, Source, clean
from tasks.policy.gates import judge_change
from tasks.policy.samples import SampleSet, generate
from tasks.records import Outcome
from training.formats import Answers

DATA = classifiers.load("sentiment", Path(__file__).resolve().parents[3] / "classifiers").data
FILES = DATA.files.model_copy(update={"header": True})
CODES = {"NEGATIVE": "0", "POSITIVE": "1"}
Rows = list[tuple[str, str]]


def rows(count: int, part: str = "train") -> Rows:
    return list(generate(SampleSet("sentiment", count, 5), count, part))


def ingested(train: Rows, test: Rows | None = None, head: str = "sentence\tlabel") -> Clean:
    def source(name: str, found: Rows) -> Source:
        lines = [head, *(f"{text}\t{CODES[label]}" for text, label in found)]
        content = [f"{line}\n".encode() for line in lines]
        return Source(name, lambda: content)

    held = [source("dev.tsv", test)] if test else []
    return clean([source("train.tsv", train)], held, FILES, DATA, 2000)


def test_a_renamed_column_is_refused_by_its_name():
    with pytest.raises(BadData, match=r"train\.tsv:1: bad_header: .*verdict"):
        ingested(rows(400), head="sentence\tverdict")


def test_rows_of_one_class_are_refused():
    with pytest.raises(BadData, match=r"one_class: .*'POSITIVE'"):
        ingested([row for row in rows(800) if row[1] == "POSITIVE"])


def test_test_rows_among_the_training_rows_are_taken_out_and_counted():
    held = rows(200, "test")

    found = ingested([*rows(800), *held], held)

    assert found.tallies[0].dropped["leakage"] >= len({text for text, _ in held})
    assert not {text for text, _ in found.rows["train"]} & {text for text, _ in held}


def test_a_text_repeated_under_both_labels_is_refused():
    both = [(text, label) for text, _ in rows(100) for label in CODES]

    with pytest.raises(BadData, match=r"too_many_drops: .* conflicting_label"):
        ingested([*rows(800), *both])


def spam(count: int) -> Rows:
    return [(f"cheap watches at great prices , order {at}", "POSITIVE") for at in range(count)]


def test_a_spam_template_is_refused_by_its_words():
    with pytest.raises(BadData, match=r"template: .* hold 'at great prices , order'"):
        ingested([*rows(1200), *spam(600)])


def test_a_little_spam_is_named_in_the_report():
    found = ingested([*rows(1200), *spam(200)])

    (told,) = [note for note in found.notes if "template" in note]
    assert "at great prices , order" in told
    assert "100% of these are POSITIVE" in told
    assert not [note for note in ingested(rows(1200)).notes if "template" in note]


def test_a_model_learned_from_flipped_labels_is_refused_beside_an_honest_champion():
    chance, held, honest = random.Random(3), rows(1200, "test"), rows(1200)
    other = {"POSITIVE": "NEGATIVE", "NEGATIVE": "POSITIVE"}
    flipped = [(t, other[label] if chance.random() < 0.3 else label) for t, label in honest]
    said = []
    for train in (flipped, honest):
        model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
        model.fit([text for text, _ in train], [label for _, label in train])
        said.append(tuple(DATA.labels.index(one) for one in model.predict([t for t, _ in held])))
    truth = tuple(DATA.labels.index(label) for _, label in held)
    answers = Answers(truth=truth, challenger=said[0], champion=said[1])

    for rule in ("better", "not-worse"):
        gates = Gates.model_validate({"rule": rule})
        outcome, reasons, _ = judge_change(answers, DATA.labels, gates)
        assert outcome is Outcome.FAIL
        assert "worse" in reasons[0]
