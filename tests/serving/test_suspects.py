from serving import suspects
from serving.suspects import Standing, Suspects


def test_a_text_is_suspect_after_one_accusation_and_condemned_after_two():
    known = Suspects()

    seen = [known.worst(["a", "b"])]
    for _ in range(2):
        known.accuse("b")
        seen.append(known.worst(["a", "b"]))

    assert seen == [Standing.CLEAR, Standing.SUSPECT, Standing.CONDEMNED]
    assert known.worst(["a"]) is Standing.CLEAR


def test_an_acquitted_text_is_clear():
    known = Suspects()
    known.accuse("a")

    known.acquit("a")

    assert known.worst(["a"]) is Standing.CLEAR


def test_what_is_held_against_a_text_is_forgotten_in_time(monkeypatch):
    monkeypatch.setattr(suspects, "_REMEMBERED_S", 0)
    known = Suspects()

    known.accuse("a")

    assert known.worst(["a"]) is Standing.CLEAR


def test_the_table_is_bounded_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(suspects, "_MOST", 2)
    known = Suspects()

    for text in ("a", "b", "c"):
        known.accuse(text)

    assert [known.worst([text]) for text in ("a", "b", "c")] == [0, 1, 1]
