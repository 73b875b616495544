import io
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import classifiers
from tasks.errors import BadData
from tasks.policy.cleaning import Source, clean
from tasks.policy.duplicates import stamp
from tasks.policy.rows import Row
from tasks.policy.splits import Selection, key, near, place, quotas

ROOT = Path(__file__).resolve().parents[3]
SENTIMENT = classifiers.load("sentiment", ROOT / "classifiers").data


def lines(count: int, start: int = 0) -> list[str]:
    return [f"text number {at}\t{at % 2}" for at in range(start, start + count)]


def source(rows: list[str]) -> Source:
    content = "\n".join(rows).encode()
    return Source("rows.tsv", lambda: io.BytesIO(content))


def splits_of(rows: list[str], test: list[str] | None = None, most: int = 10_000):
    found = clean([source(rows)], [source(test)] if test else [], SENTIMENT.files, SENTIMENT, most)
    return found, {text: split for split, there in found.rows.items() for text, _ in there}


def test_the_place_of_a_row_is_known_for_ever():
    row = Row(7, "", "POSITIVE", "Late goal settles the derby.")

    assert f"{key(row):064x}"[:16] == "595f722d34cf8093"
    assert key(row) == key(row._replace(line=9, id="3"))


@given(st.integers(100, 300), st.integers(1, 200))
def test_new_rows_do_not_move_old_ones(old, new):
    _, before = splits_of(lines(old))
    _, after = splits_of(lines(old + new))

    assert {text: after[text] for text in before} == before


@given(st.randoms(use_true_random=False))
def test_the_order_of_a_file_changes_nothing(chance: random.Random):
    rows = lines(120)
    shuffled = chance.sample(rows, len(rows))

    assert splits_of(shuffled, most=50)[0].rows == splits_of(rows, most=50)[0].rows


def test_copies_that_differ_in_signs_share_a_split():
    near = (
        key(Row(1, "", "a", "Late goal, settles it!")),
        key(Row(2, "", "b", "late goal settles it")),
    )

    assert near[0] != near[1]
    assert near[0] >> 128 == near[1] >> 128


@given(st.text(max_size=20))
def test_folding_is_the_same_for_all_letters(text):
    letters = "".join(filter(str.isalnum, text.casefold()))

    assert stamp(text).decode() == (letters or text)


def test_shares_are_kept_for_many_rows():
    chance = random.Random(1)
    placed = [place(chance.getrandbits(128), 0.1, 0.2) for _ in range(10_000)]

    assert placed.count("validation") == pytest.approx(1000, abs=100)
    assert placed.count("test") == pytest.approx(2000, abs=150)


def test_a_smaller_sample_is_part_of_the_larger_one():
    _, small = splits_of(lines(600), most=100)
    _, large = splits_of(lines(600), most=300)

    assert sum(split == "train" for split in small.values()) == 100
    assert small.items() <= large.items()


def test_rows_of_the_test_file_leave_train():
    found, where = splits_of(lines(200), test=["Text, number 5!\t1", *lines(40, start=1000)])

    assert found.tallies[0].dropped == {"leakage": 1}
    assert "text number 5" not in where
    assert where["Text, number 5!"] == "test"


def test_a_test_file_that_is_a_copy_of_train_is_refused():
    with pytest.raises(BadData, match=r"no_rows: 200 leakage \(first at lines 1, 2, 3, 4, 5\)"):
        splits_of(lines(200), test=lines(200))


def test_a_class_with_fewer_rows_than_splits_goes_to_train_and_is_told():
    rows = [line for line in lines(200) if line.endswith("0")]
    for at in range(20):
        found, where = splits_of([*rows, f"rare {at} a\t1", f"rare {at} b\t1"])

        assert {where[f"rare {at} a"], where[f"rare {at} b"]} == {"train"}
        assert found.notes[0] == "all rows of POSITIVE are in train: fewer rows than the 3 splits"


def test_too_few_rows_for_the_splits_are_refused():
    with pytest.raises(BadData, match="too_few_rows: 4 rows are left, none for "):
        splits_of(lines(4))


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10_000), min_size=1),
    st.integers(20, 5000),
)
def test_quotas_are_fair_and_within_the_limit(counts, most):
    shared = quotas(counts, most)

    assert all(1 <= shared[label] <= count for label, count in counts.items())
    assert sum(shared.values()) <= max(most, 0) + len(counts)
    assert sum(shared.values()) >= min(most, sum(counts.values()))


def test_a_class_of_one_row_is_never_asked_for_two():
    assert quotas({"rare": 1, "common": 20}, 20) == {"rare": 1, "common": 19}


def test_selection_holds_no_more_than_its_limit():
    selection = Selection({"train": 20, "validation": 20, "test": 20})
    for at in range(500):
        row = Row(at, "", "a", f"text {at}")
        selection.add("train", near(row.text), row)

    kept = selection.chosen()["train"]

    every = sorted((Row(at, "", "a", f"text {at}") for at in range(500)), key=key)
    assert kept == [(row.text, "a") for row in every[:20]]
