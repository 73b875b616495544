"""What the smoke test asks, of a side that lives in memory."""

import threading

from tasks.records import Answer, Usage
from tasks.smoke import try_out

GOLDEN = tuple((f"text {number}", "World") for number in range(30))


class Side:
    def __init__(self):
        self.asked, self.looked = [], 0
        self._lock = threading.Lock()

    def ask(self, payload):
        with self._lock:
            self.asked.append(payload)
        return Answer(200, "{}", "7", "d", 0.01)

    def usage(self):
        self.looked += 1
        return Usage(10.0 * self.looked, 1e6)


def test_every_text_is_asked_alone_first_and_no_text_of_the_burst_was_asked_before():
    side = Side()

    seen = try_out(side, GOLDEN, max_chars=1000, callers=4)

    texts = [payload["text"] for payload in side.asked if "text" in payload]
    assert texts[:20] == [text for text, _ in GOLDEN[:20]]
    assert len(texts) == len(set(texts)) == 60
    assert [one.contract for one in seen.lone].count("data") == 5
    assert (len(seen.burst.answers), seen.burst.callers) == (40, 4)


def test_cpu_is_that_of_the_burst():
    assert try_out(Side(), GOLDEN, max_chars=1000, callers=1).usage == Usage(20.0, 1e6)


def test_texts_of_the_burst_are_no_longer_than_the_endpoint_takes():
    side = Side()

    try_out(side, (("x" * 50, "World"),), max_chars=50, callers=1)

    assert max(len(text) for payload in side.asked for text in payload.values()) == 50
