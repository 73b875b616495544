import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import classifiers
from tasks.policy import fresh
from tasks.policy.cleaning import Clean, Source, clean
from tasks.policy.duplicates import stamp
from tasks.policy.samples import SampleSet, generate
from training.formats import SPLITS

DATA = classifiers.load("sentiment", Path(__file__).resolve().parents[3] / "classifiers").data
LABELS = DATA.labels
Rows = list[tuple[str, str]]


def rows(count: int, part: str = "train", drifted: bool = False) -> Rows:
    return list(generate(SampleSet("sentiment", count, 5, drifted), count, part))


def source(name: str, found: Rows) -> Source:
    content = [json.dumps({"label": label, "text": text}).encode() + b"\n" for text, label in found]
    return Source(name, lambda: content)


def ingested(
    feedback: Rows | None, train: Rows, test: Rows | None = None, most: int = 400
) -> Clean:
    return clean(
        [source("train.jsonl", train)],
        [source("test.jsonl", test)] if test else [],
        fresh.FILES,
        DATA,
        most,
        None if feedback is None else source("feedback.jsonl", feedback),
    )


def stamps(found: Rows) -> set[bytes]:
    return {stamp(text) for text, _ in found}


OLD, TEST, NEW = rows(2000), rows(900, "test"), rows(300, drifted=True)


@pytest.mark.parametrize("test", [None, TEST])
def test_new_language_is_learned_from_and_tested_on(test):
    found = ingested(NEW, OLD, test)

    counts = {split: len(chosen) for split, chosen in found.fresh.items()}
    assert all(set(found.fresh[split]) <= set(found.rows[split]) for split in SPLITS)
    assert counts["train"] > 150
    assert 50 < counts["test"] < 100  # a quarter
    assert len(found.rows["train"]) == 400 + counts["train"]
    assert len(set(found.rows["test"]) & set(test or OLD)) > counts["test"]
    assert found.tallies[-1].file == "feedback.jsonl"
    assert f"{counts['train']:,} train" in found.notes[-1]


def test_no_old_row_makes_room_for_labelled_answers_and_these_are_as_many_at_most():
    before, found = ingested(None, OLD, TEST), ingested(rows(3000, drifted=True), OLD, TEST)

    for split in ("train", "validation"):
        old = set(found.rows[split]) - set(found.fresh[split])
        assert old == set(before.rows[split])
        assert len(found.fresh[split]) == len(old)
    assert len(found.fresh["test"]) * 2 <= len(found.rows["test"]) + 1 <= DATA.test_size


def test_a_few_labelled_answers_leave_most_of_the_old_test_rows():
    found = ingested(NEW[:40], OLD, TEST)

    assert len(set(found.rows["test"]) & set(TEST)) == 500


def test_no_feedback_and_an_empty_window_give_the_rows_of_the_source():
    without, empty = ingested(None, OLD, TEST), ingested([], OLD, TEST)

    assert without.rows == empty.rows
    assert not any(without.fresh.values())
    assert without.notes == tuple(note for note in empty.notes if "labelled answers" not in note)


def test_the_label_that_was_said_last_replaces_the_one_of_the_source():
    known, others = OLD[:100], {label: LABELS[1 - LABELS.index(label)] for label in LABELS}
    told = [(text, others[label]) for text, label in known]

    found = ingested(told, OLD)

    assert found.tallies[0].dropped["in_feedback"] == len(stamps(known) & stamps(OLD))
    used = [row for split in SPLITS for row in found.rows[split]]
    assert not set(known) & set(used)
    assert set(told) & set(used)


def test_labelled_answers_that_are_test_rows_of_the_source_are_not_learned_from():
    found = ingested([*NEW, *TEST[:50]], OLD, TEST)

    assert found.tallies[-1].dropped["leakage"] == 50
    assert set(TEST) & set(found.rows["test"])


@settings(max_examples=12)
@given(st.integers(0, 250), st.booleans(), st.randoms(use_true_random=False))
def test_no_text_is_in_two_splits_and_the_order_changes_nothing(take, held, chance):
    feedback = [*NEW[:take], *OLD[: take // 2], *TEST[: take // 3]]
    shuffled = list(feedback)
    chance.shuffle(shuffled)
    old, test = OLD[:300], TEST[:100] if held else None

    found = ingested(feedback, old, test, most=200)

    sets = [stamps(found.rows[split]) for split in SPLITS]
    assert sum(map(len, sets)) == len(set().union(*sets))
    assert ingested(shuffled, old, test, most=200).rows == found.rows


def test_a_text_stays_in_its_split_when_more_labels_come():
    first, second = ingested(NEW[:100], OLD, TEST), ingested(NEW, OLD, TEST)

    for split in SPLITS:
        others = {row for other in SPLITS if other != split for row in second.fresh[other]}
        assert not set(first.fresh[split]) & others
