from training.data import Rows
from training.slices import slices

TEXTS = ["x" * length for length in range(1, 101)]


def by_name(*given):
    return {one.name: one for one in slices(*given)}


def test_the_shortest_and_the_longest_tenth_are_told_with_their_bounds():
    rows = Rows(TEXTS, ["A", "B"] * 50)

    found = by_name(rows, [False] * 100, [length > 5 for length in range(1, 101)])

    assert (found["short"].rows, found["short"].right) == (10, 5)
    assert found["short"].rule == "at most 10 characters, the shortest tenth"
    assert (found["long"].rows, found["long"].right) == (11, 11)


def test_rows_of_both_models_are_counted_in_pairs():
    rows = Rows(["é", "ü", "a", "ß"], ["A"] * 4)
    right, champion = [True, False, True, True], [True, True, True, False]

    found = by_name(rows, [False] * 4, right, champion)["non-ASCII"]

    assert (found.rows, found.right, found.champion_right) == (3, 2, 2)
    assert (found.only_challenger, found.only_champion) == (1, 1)


def test_classes_under_half_of_an_even_share_are_rare():
    rows = Rows(TEXTS, ["big"] * 60 + ["half"] * 25 + ["few"] * 15)

    found = by_name(rows, [False] * 100, [True] * 100)["rare classes"]

    assert (found.rows, found.rule.split(": ")[1]) == (15, "few")


def test_a_hundred_rows_are_adequate_and_one_less_is_not():
    rows = Rows(TEXTS, ["A"] * 100)

    for cut in (100, 99):
        found = by_name(rows, [at < cut for at in range(100)], [True] * 100)["truncated"]
        assert (found.rows, found.adequate) == (cut, cut == 100)


def test_a_part_without_rows_is_told_with_none():
    rows = Rows(["abc"], ["A"])

    found = by_name(rows, [False], [True])

    assert (found["non-ASCII"].rows, found["non-ASCII"].adequate) == (0, False)
    assert found["rare classes"].rule.endswith("even share: none")
