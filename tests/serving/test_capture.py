"""Which answers are written down, and what is written of them."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from serving.backlog import Classified
from serving.capture import Capture, capture_of, sampled, spool_folder
from serving.contract import Answer
from serving.predictions import Predictions
from serving.settings import ServingSettings

URI = "s3://perennial-data/data-capture/news"
SURE = Answer("World", 0.9, (0.9, 0.1), truncated=True)


@pytest.fixture
def serve(tmp_path):
    """`serve(...)` is what asks the routes under these settings; `.capture` is its log."""

    def make(**given):
        async def classify(texts, **_):
            return Classified([SURE] * len(texts))

        settings = ServingSettings(capture_uri=URI, capture_dir=tmp_path, variant="blue", **given)
        capture = Capture(settings)
        version = SimpleNamespace(
            name="v1",
            digest="d",
            pool=SimpleNamespace(classify=classify),
            manifest=SimpleNamespace(labels=("World", "Sports")),
        )
        routes = Predictions(settings, lambda: None, lambda *_: version, lambda *_: None, capture)

        def ask(path, body, request_id="id", **headers):
            sent = []

            async def receive():
                return {"type": "http.request", "body": body}

            async def send(message):
                sent.append(message)

            keys = {"/predict": ("text", "data"), "/predict/batch": ("texts",)}
            handler = routes.invocations if path == "/invocations" else routes.of(keys[path])
            pairs = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
            state = {"request_id": request_id}
            asyncio.run(handler({"headers": pairs, "state": state}, receive, send))
            return dict(sent[0]["headers"]).get(b"x-logged")

        ask.capture = capture
        ask.rows = lambda: rows(capture)
        return ask

    return make


def rows(capture):
    files = sorted(capture.spool.folder.glob("*.open"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def test_a_row_says_what_was_asked_and_answered_and_by_which_version(serve):
    ask = serve()

    assert ask("/predict", b'{"text": "from jane@example.org"}') == b"true"

    (row,) = ask.rows()
    assert row.pop("timestamp") > 1.7e12
    assert row.pop("latency_ms") >= 0
    assert row == {
        "request_id": "id",
        "classifier": "news",
        "model_version": "v1",
        "bundle_digest": "d",
        "variant": "blue",
        "text": "from <EMAIL>",
        "characters": 21,
        "label": "World",
        "confidence": 0.9,
        "probabilities": [0.9, 0.1],
        "truncated": True,
    }


@pytest.mark.parametrize(
    ("path", "body", "kind", "ids"),
    [
        ("/predict", b'{"data": "one"}', b"application/json", ["id"]),
        ("/predict/batch", b'{"texts": ["one", "two"]}', b"application/json", ["id.0", "id.1"]),
        ("/invocations", b'{"text": "one"}', b"application/json", ["id"]),
        ("/invocations", b'"one, two"\nthree\n', b"text/csv", ["id.0", "id.1"]),
        ("/invocations", b'{"data": "one"}\n', b"application/jsonlines", ["id"]),
    ],
)
def test_every_route_logs_each_text_of_its_own(serve, path, body, kind, ids):
    ask = serve()

    assert ask(path, body, content_type=kind) == b"true"

    assert [row["request_id"] for row in ask.rows()] == ids


def test_an_answer_that_was_known_is_logged_like_any_other(serve):
    ask = serve()

    told = [ask("/predict", b'{"text": "one"}', request_id=name) for name in ("a", "b")]

    assert told == [b"true", b"true"]
    assert [row["request_id"] for row in ask.rows()] == ["a", "b"]


def test_our_own_probes_are_not_logged(serve):
    ask = serve()

    assert ask("/predict", b'{"text": "one"}', x_probe=b"rollout") is None
    attributes = {"x_amzn_sagemaker_custom_attributes": b"X-Probe=rollout"}
    assert ask("/invocations", b'{"text": "one"}', **attributes) is None

    assert ask.rows() == []
    assert sum(ask.capture.spool.logged.values()) == 0


@pytest.mark.parametrize(("percent", "logged"), [(0, 0), (25, 50), (100, 200)])
def test_so_many_percent_of_the_requests_are_logged_and_always_the_same(serve, percent, logged):
    ask = serve(capture_percent=percent)
    names = [f"request-{number}" for number in range(200)]

    told = [ask("/predict", b'{"text": "one"}', request_id=name) for name in names]

    assert told.count(b"true") == pytest.approx(logged, abs=20)
    assert ask.capture.sampled_out == told.count(None)
    if 0 < percent < 100:
        assert [name for name in names if sampled(name, percent)] == [
            row["request_id"] for row in ask.rows()
        ]


def test_a_full_spool_fails_no_answer(serve):
    ask = serve(capture_max_bytes=4096)

    told = [ask("/predict", b'{"text": "one"}') for _ in range(40)]

    assert told.count(b"true") == ask.capture.spool.logged["prediction"] > 0
    assert told.count(None) == ask.capture.spool.dropped["prediction"] > 0


@pytest.mark.parametrize(("policy", "text"), [("off", "a@b.c"), ("mask", "<EMAIL>")])
def test_the_text_is_written_as_the_policy_says(serve, policy, text):
    ask = serve(capture_text=policy)

    ask("/predict", b'{"text": "a@b.c"}')

    assert ask.rows()[0]["text"] == text


def test_without_a_place_there_is_no_log_and_two_places_never_mix(tmp_path):
    one, other = (
        ServingSettings(capture_dir=tmp_path, capture_uri=f"s3://abc/data-capture/{name}")
        for name in ("news", "genre")
    )

    assert capture_of(ServingSettings()) is None
    assert spool_folder(one) != spool_folder(other)
