import numpy as np
import pyarrow as pa
import pytest

from tasks import draws
from tasks.draws import Draw, fingerprints


def ids(first, last):
    return pa.array([f"{number:08x}-request" for number in range(first, last)], pa.string())


def drawn(parts, most):
    draw = Draw(most)
    for segment, part in enumerate(parts):
        draw.offer(segment, fingerprints(part), np.arange(len(part)))
    return draw


def names(parts, draw):
    return [parts[at][row].as_py() for at, rows in draw.rows().items() for row in rows.tolist()]


def test_few_rows_are_all_taken_in_their_order():
    parts = [ids(0, 5), ids(5, 5), ids(5, 9)]

    draw = drawn(parts, most=100)

    assert (names(parts, draw), draw.total) == (ids(0, 9).to_pylist(), 9)


def test_row_that_was_shipped_twice_counts_once():
    parts = [ids(0, 50), ids(30, 70), ids(0, 50)]

    draw = drawn(parts, most=100)

    assert (names(parts, draw), draw.total) == (ids(0, 70).to_pylist(), 70)


@pytest.mark.parametrize("cuts", [[], [1000], [17, 12_000, 25_000]])
def test_sample_is_the_same_however_the_log_is_divided(cuts, monkeypatch):
    monkeypatch.setattr(draws, "_WAITING", 3000)
    rows = 30_000
    parts = [ids(a, b) for a, b in zip([0, *cuts], [*cuts, rows], strict=True)]

    draw = drawn(parts, most=1000)

    found = names(parts, draw)
    assert (len(found), draw.total) == (1000, rows)
    assert found == sorted(found)
    assert found == names([ids(0, rows)], drawn([ids(0, rows)], 1000))


def test_every_row_is_as_likely_as_any_other():
    parts = [ids(0, 50_000)]

    found = [int(name[:8], 16) for name in names(parts, drawn(parts, most=5_000))]

    tenths = np.bincount(np.array(found) // 5_000, minlength=10)
    # Chi-squared of nine degrees of freedom is over 27.9 once in a thousand.
    assert ((tenths - 500) ** 2 / 500).sum() < 27.9
    assert abs(np.mean([number % 2 for number in found]) - 0.5) < 0.02


def test_fingerprint_hangs_on_every_letter_and_its_place():
    texts = ["", "a", "aa", "ab", "ba", "b", "\x00", "a\x00", "é", "x" * 300, "x" * 301]

    found = fingerprints(pa.array(texts))

    assert len(set(found.tolist())) == len(texts)
    assert fingerprints(pa.array(texts).slice(2, 3)).tolist() == found[2:5].tolist()
