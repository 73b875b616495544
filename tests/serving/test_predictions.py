"""What is read of a request, and what a body that came before is still asked."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from serving import bodies
from serving.backlog import Classified
from serving.contract import Answer, Refusal
from serving.predictions import Predictions
from serving.settings import ServingSettings

SURE = Answer("World", 0.9, (0.9, 0.1), truncated=False)
ONE = b'{"text": "a market"}'


@pytest.fixture
def build():
    """`build(...)` is the predictions under these settings; `.wanted` are the versions asked."""

    def make(**given):
        async def classify(texts, **_):
            return Classified([SURE] * len(texts))

        def choose(wanted, key):
            made.wanted.append(wanted)
            if wanted == "gone":
                raise Refusal(404, "model_version_not_found", "Gone")
            return SimpleNamespace(name="v1", digest="d", pool=SimpleNamespace(classify=classify))

        made = Predictions(ServingSettings(**given), lambda: None, choose, lambda *_: None)
        made.wanted = []
        return made

    return make


@pytest.fixture
def parsed(monkeypatch):
    """The bodies that were read as JSON, one after the other."""
    read, came = bodies.parse, []
    monkeypatch.setattr(bodies, "parse", lambda body: came.append(body) or read(body))
    return came


def ask(handler, body=ONE, **headers):
    """The answer's body, or the code of the refusal."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    try:
        asyncio.run(handler({"headers": pairs, "state": {}}, receive, send))
    except Refusal as refusal:
        return refusal.error
    return json.loads(sent[0]["body"])


def test_a_body_that_came_before_is_not_read_again(build, parsed):
    predict = build().of(("text", "data"))

    answers = [ask(predict)["prediction"] for _ in range(3)]

    assert answers == ["World"] * 3
    assert parsed == [ONE]


def test_without_a_cache_nothing_is_kept(build, parsed):
    predict = build(cache_enabled=False).of(("text", "data"))

    ask(predict)
    ask(predict)

    assert parsed == [ONE, ONE]


def test_few_bodies_are_kept_and_no_large_ones(build, parsed):
    predict = build().of(("text",))
    large = json.dumps({"text": "long " * 2000}).encode()

    for body in (ONE, *(b'{"text": "%d"}' % number for number in range(1000)), ONE, large, large):
        ask(predict, body)

    assert parsed.count(ONE) == 2
    assert parsed.count(large) == 2


def test_a_known_body_is_refused_where_it_is_not_taken(build):
    predictions = build()
    texts = b'{"texts": ["a market"]}'
    batch, predict = predictions.of(("texts",)), predictions.of(("text", "data"))

    assert ask(batch, texts)["batch_size"] == 1
    assert ask(predict, texts) == "validation_error"
    assert ask(batch, texts, content_type=b"text/csv") == "unsupported_media_type"
    assert ask(batch, texts, x_request_timeout_ms=b"0") == "validation_error"
    assert ask(batch, texts, content_length=b"99999999") == "payload_too_large"


def test_a_refused_body_is_refused_again(build, parsed):
    predict = build().of(("text",))

    assert [ask(predict, b'{"text": 1}') for _ in range(2)] == ["validation_error"] * 2
    assert len(parsed) == 2


def test_the_version_of_a_known_body_is_chosen_anew(build):
    predictions = build()
    pinned = b'{"text": "a market", "model_version": "gone"}'

    answers = [ask(predictions.of(("text",)), body) for body in (ONE, pinned, ONE, pinned)]

    assert predictions.wanted == [None, "gone", None, "gone"]
    assert answers[1] == answers[3] == "model_version_not_found"
