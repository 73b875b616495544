import pytest
from plugins.clocks import Clock

from serving import cache as module
from serving.cache import Cache
from serving.contract import Answer


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(module, "time", clock := Clock())
    return clock


def answer(label: str) -> Answer:
    return Answer(label, 0.9, (0.9, 0.1), truncated=False)


def test_a_known_text_is_answered_for_its_bundle_only():
    cache = Cache(max_size=10, ttl_s=60)
    cache.put("one", ["a"], [answer("A")])

    assert cache.get("one", ["b", "a"]) == [None, answer("A")]
    assert cache.get("two", ["a"]) == [None]
    assert (cache.hits, cache.misses) == (1, 2)


def test_the_text_asked_longest_ago_makes_room():
    cache = Cache(max_size=2, ttl_s=60)
    cache.put("one", ["a", "b"], [answer("A"), answer("B")])
    cache.get("one", ["a"])
    cache.put("one", ["c"], [answer("C")])

    assert cache.get("one", ["a", "b", "c"]) == [answer("A"), None, answer("C")]


def test_an_answer_is_forgotten_after_its_time(clock):
    cache = Cache(max_size=2, ttl_s=60)
    cache.put("one", ["a"], [answer("A")])
    clock.now = 61

    assert cache.get("one", ["a"]) == [None]


def test_what_was_computed_anew_is_known_as_long_as_what_is_new(clock):
    cache = Cache(max_size=1, ttl_s=60)
    cache.put("one", ["a"], [answer("A")])
    clock.now = 61
    cache.put("one", ["a"], [answer("B")])
    clock.now = 120

    assert cache.get("one", ["a"]) == [answer("B")]


def test_the_second_time_a_text_is_a_hit_with_the_same_answer(client):
    asked = {"text": "a text that nobody asked before"}

    first, second = (client.post("/predict", json=asked) for _ in range(2))

    assert [first.headers["x-cache"], second.headers["x-cache"]] == ["miss", "hit"]
    same = ("prediction", "confidence", "model_version")
    assert [first.json()[key] for key in same] == [second.json()[key] for key in same]


def test_of_a_batch_only_what_is_not_known_is_computed(client):
    known = client.post("/predict", json={"text": "known before the batch"}).json()

    texts = ["new in the batch", "known before the batch", "new too in the batch"]
    mixed, again = (client.post("/predict/batch", json={"texts": texts}) for _ in range(2))

    assert [mixed.headers["x-cache"], again.headers["x-cache"]] == ["miss", "hit"]
    assert mixed.json()["predictions"][1]["confidence"] == known["confidence"]
    assert mixed.json()["predictions"] == again.json()["predictions"]


def test_one_letter_written_in_two_ways_is_one_text(client):
    client.post("/predict", json={"text": "caf\u00e9 prices"})

    answer = client.post("/predict", json={"text": "cafe\u0301 prices"})

    assert answer.headers["x-cache"] == "hit"
