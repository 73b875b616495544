import pytest

from tasks.errors import BadData
from tasks.policy.samples import asked, generate


def texts(source: str, rows: int = 400, part: str = "train") -> list[tuple[str, str]]:
    return list(generate(asked(source), rows, part))


@pytest.mark.parametrize("name", ["news", "genre", "sentiment"])
def test_the_same_seed_gives_the_same_rows_and_another_gives_others(name):
    first = texts(f"sample://{name}?rows=400&seed=7")

    assert first == texts(f"sample://{name}?rows=400&seed=7")
    assert not set(first) & set(texts(f"sample://{name}?rows=400&seed=8"))
    assert not set(first) & set(texts(f"sample://{name}?rows=400&seed=7", part="test"))


@pytest.mark.parametrize(("name", "classes"), [("news", 4), ("genre", 27), ("sentiment", 2)])
def test_every_class_is_there_and_rows_hardly_repeat(name, classes):
    rows = texts(f"sample://{name}", 5000)

    assert len({label for _, label in rows}) == classes
    assert len({text for text, _ in rows}) > 4950


def test_a_drifted_set_speaks_of_other_things():
    def words(source: str) -> set[str]:
        return {word for text, _ in texts(source) for word in text.lower().split()}

    assert "crypto" in words("sample://news?drifted=1")
    assert "crypto" not in words("sample://news")


def test_rows_are_the_same_on_every_machine():
    text, label = texts("sample://news?seed=1", 1)[0]

    assert label == "World"
    assert text == (
        "penalty and inning after the street summit. A door about province reached the door"
        " on Tuesday, with hostages named by 594 answer sources."
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sample://pets", "no such sample set; there are news, genre, sentiment"),
        ("sample://news?row=10", r"\['row'\] mean nothing here"),
        ("sample://news?rows=ten", "whole numbers"),
        ("sample://news?rows=3", "rows must be 40 to 5000000"),
    ],
)
def test_a_wrong_sample_source_says_what_is_allowed(source, message):
    with pytest.raises(BadData, match=message):
        asked(source)
