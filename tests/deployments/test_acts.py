"""The rehearsal's table: an act that differs is told, an act as expected is quiet."""

from dataclasses import replace

import pytest

from deployments.acts import Act, Ending, Heard, table

BACK = Ending("FAILED", "ROLLED_BACK", "2", "10 %: FAIL")
CAUGHT = Act(
    "2 bad release",
    BACK,
    BACK,
    Heard(1200, {"3": 17}, frozenset({"2", "3"}), 0.4),
    61.2,
    frozenset({"1", "2", "3"}),
    may_fail="3",
    note="24 s from its first answer to its last one",
)


def test_an_act_as_expected_differs_in_nothing():
    told = table([CAUGHT]).splitlines()

    assert CAUGHT.differs == ()
    assert told[0].split() == ["act", "expected", "happened", "seconds", "requests", "failed"]
    assert told[2].split()[-3:] == ["61", "1,200", "17"]
    assert told[2].count("FAILED, ROLLED_BACK, version 2, 10 %: FAIL") == 2
    assert told[-2:] == [f"{CAUGHT.name}: {CAUGHT.note}", "longest time without an answer: 0.4 s"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"happened": replace(BACK, version="3")}, "happened FAILED, ROLLED_BACK, version 3"),
        ({"heard": Heard(9, {"3": 1, "": 2}, frozenset({"2"}), 0)}, "2 requests failed by nobody"),
        ({"heard": Heard(9, {"3": 1, "2": 1}, frozenset({"2"}), 0)}, "1 requests failed by 2"),
        ({"heard": Heard(9, {"3": 1}, frozenset({"4"}), 0)}, "answered by 4, which never passed"),
        ({"heard": Heard(9, {"3": 1}, frozenset({"2"}), 7)}, "nobody answered for 7.0 s"),
        ({"heard": Heard(9, {}, frozenset({"2"}), 0)}, "version 3 was to fail some requests"),
    ],
)
def test_what_differs_is_named(changed, told):
    act = replace(CAUGHT, **changed)

    (found,) = act.differs
    assert told in found
    assert table([act]).splitlines()[-1] == f"DIFFERS  {act.name}: {found}"
