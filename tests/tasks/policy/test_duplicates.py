import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import classifiers
from tasks.errors import BadData
from tasks.policy.cleaning import Clean, Source, clean

ROOT = Path(__file__).resolve().parents[3]
GENRE, SENTIMENT = (
    classifiers.load(name, ROOT / "classifiers").data.model_copy(update={"max_drop_fraction": 1})
    for name in ("genre", "sentiment")
)


def file(name: str, rows: list[str]) -> Source:
    return Source(name, lambda: io.BytesIO("\n".join(rows).encode()))


def cleaned(*train: list[str], test: tuple[list[str], ...] = ()) -> Clean:
    return clean(
        [file(f"train-{at}", rows) for at, rows in enumerate(train, 1)],
        [file(f"test-{at}", rows) for at, rows in enumerate(test, 1)],
        SENTIMENT.files,
        SENTIMENT,
        1000,
    )


def rows(count: int, start: int = 0) -> list[str]:
    return [f"text number {at}\t{at % 2}" for at in range(start, start + count)]


def test_a_text_is_one_row_in_all_files_of_a_split():
    found = cleaned([*rows(60), "twice\t1", "torn\t0"], [*rows(60, 100), "twice\t1", "torn\t1"])

    first, second = found.tallies
    assert (first.file, first.dropped) == ("train-1", {"conflicting_label": 1})
    assert second.dropped == {"duplicate_row": 1, "conflicting_label": 1}
    assert second.first_lines == {"duplicate_row": [61], "conflicting_label": [62]}


def test_a_row_of_any_test_file_leaves_every_train_file():
    test = (["Text number 3!\t1", *rows(5, 1000)], ["text NUMBER 104\t0", *rows(5, 2000)])

    found = cleaned(rows(60), rows(60, 100), test=test)

    assert [tally.dropped for tally in found.tallies] == [{"leakage": 1}, {"leakage": 1}, {}, {}]


def test_an_id_stands_for_a_row_within_its_file_only():
    films = [
        [f"{at} ::: T ::: {'war' if at % 2 else 'drama'} ::: {name} {at}" for at in range(60)]
        for name in ("one", "two")
    ]
    films[1].append("7 ::: T ::: war ::: another")

    found = clean([file("a", films[0]), file("b", films[1])], [], GENRE.files, GENRE, 1000)

    assert [tally.dropped for tally in found.tallies] == [{}, {"duplicate_id": 1}]


def test_a_file_may_hold_one_class_when_the_split_holds_two():
    good, bad = ([f"{kind} {at}\t{kind}" for at in range(60)] for kind in (1, 0))

    assert sum(len(there) for there in cleaned(good, bad).rows.values()) == 120
    with pytest.raises(BadData, match=r"train-1, train-2: one_class: all 120 rows that are left"):
        cleaned(good, [f"more {at}\t1" for at in range(60)])


def test_a_file_without_rows_is_named_among_others():
    with pytest.raises(BadData, match="train-2: no_rows"):
        cleaned(rows(60), [""])


def test_an_error_names_the_file_among_others_and_the_line():
    with pytest.raises(BadData, match="second:2: bad_encoding"):
        clean(
            [file("first", rows(60)), Source("second", lambda: io.BytesIO(b"x\t1\n\xff\t1\n"))],
            [],
            SENTIMENT.files,
            SENTIMENT,
            100,
        )


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("01")), max_size=40),
    st.integers(30, 100),
)
def test_cutting_a_file_in_two_keeps_the_same_rows(pairs, at):
    repeated = [f"text {number}\t{label}" for number, label in pairs]
    told = [*rows(60, 100), *repeated, *rows(60, 300)]

    assert cleaned(told[:at], told[at:]).rows == cleaned(told).rows


def test_a_row_costs_no_more_than_its_hashes():
    def peak(count: int) -> int:
        def stream() -> Iterator[bytes]:
            return (b"a text that is not short, number %d\t%d\n" % (n, n % 2) for n in range(count))

        tracemalloc.start()
        clean([Source("long", stream)], [], SENTIMENT.files, SENTIMENT, 100)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1000)
    assert peak(20_000) - peak(5_000) < 15_000 * 40
