"""Whatever a caller sends is the caller's mistake: never a 5xx, never an echo."""

import json
import socket

import httpx
import pytest

SECRET = "zyxwv-private-words"
LONG = SECRET + "x" * 600


def js(value: object) -> bytes:
    return json.dumps(value).encode()


BODIES = {
    "empty": (b"", 400),
    "not JSON": (b"hello " + SECRET.encode(), 400),
    "cut JSON": (b'{"text": "abc', 400),
    "two values": (b'{"text": "a"} {"text": "b"}', 400),
    "invalid UTF-8": (b'{"text": "\xff\xfe"}', 400),
    "UTF-16": ('{"text": "abc"}'.encode("utf-16"), 400),
    "byte order mark": (b'\xef\xbb\xbf{"text": "a"}', 400),
    "NaN": (b'{"text": NaN}', 400),
    "Infinity": (b'{"text": -Infinity}', 400),
    "number of 5,000 digits": (b'{"text": ' + b"9" * 5000 + b"}", 400),
    "deep lists": (b"[" * 30_000 + b"]" * 30_000, 400),
    "deep objects": (b'{"text":' * 7_000 + b"1" + b"}" * 7_000, 400),
    "raw control character": (b'{"text": "a\nb"}', 400),
    "lone surrogate": (b'{"text": "\\ud800 a"}', 422),
    "lone low surrogate in data": (b'{"data": "a \\udc00"}', 422),
    "surrogate in a field name": (b'{"text": "a", "\\ud800": 1}', 422),
    "null": (b"null", 422),
    "a string": (js(SECRET), 422),
    "a list": (js([{"text": "a"}]), 422),
    "a number": (b"1e999", 422),
    "no key": (b"{}", 422),
    "wrong key": (js({SECRET: "a"}), 422),
    "unknown field": (js({"text": "a", SECRET: 1}), 422),
    "text and data": (js({"text": "a", "data": "b"}), 422),
    "text is a number": (js({"text": 5}), 422),
    "text is null": (js({"text": None}), 422),
    "text is a list": (js({"text": [SECRET]}), 422),
    "text is an object": (js({"text": {"text": SECRET}}), 422),
    "data is true": (js({"data": True}), 422),
    "version is a number": (js({"text": "a", "model_version": 1}), 422),
    "version with data": (js({"data": "a", "model_version": "v1.0.0"}), 422),
    "empty text": (js({"text": ""}), 422),
    "blank text": (js({"text": " \t\n\u3000"}), 422),
    "empty data": (js({"data": ""}), 422),
    "too long": (js({"text": LONG}), 422),
    "too long data": (js({"data": LONG}), 422),
    "texts to the wrong route": (js({"texts": ["a"]}), 422),
    "over the body limit": (js({"text": "x" * 70_000}), 413),
    "odd but fine: NUL": (js({"text": "\x00"}), 200),
    "odd but fine: emoji": (js({"text": "😀" * 200}), 200),
    "odd but fine: right to left": (js({"text": "\u202e\u200b abc"}), 200),
    "odd but fine: a key twice": (b'{"text": "a", "text": "b"}', 200),
}

BATCHES = {
    "no texts": ({"texts": []}, 422),
    "one text as a string": ({"texts": "abc"}, 422),
    "a number among texts": ({"texts": ["a", 1]}, 422),
    "a blank among texts": ({"texts": ["a", ""]}, 422),
    "a long one among texts": ({"texts": ["a", LONG]}, 422),
    "too many": ({"texts": ["a"] * 129}, 422),
    "text": ({"text": "a"}, 422),
}


@pytest.fixture(scope="module")
def client(live):
    with httpx.Client(base_url=live.url, timeout=30) as client:
        yield client


def assert_refused(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    if status != 200:
        assert list(answer.json()) == ["error", "message", "timestamp", "request_id"]
    assert SECRET not in answer.text
    assert answer.headers["x-model-version"] == "v1.0.0"


@pytest.mark.parametrize("case", BODIES)
def test_a_malformed_body_is_refused_without_an_echo(client, case):
    body, status = BODIES[case]

    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})

    assert_refused(answer, status)


@pytest.mark.parametrize("case", BATCHES)
def test_a_malformed_batch_is_refused_without_an_echo(client, case):
    body, status = BATCHES[case]

    assert_refused(client.post("/predict/batch", json=body), status)


@pytest.mark.parametrize("kind", ["text/csv", "application/x-www-form-urlencoded", "image/png"])
@pytest.mark.parametrize("path", ["/predict", "/invocations"])
def test_another_content_type_is_415(client, path, kind):
    answer = client.post(path, content=b'{"text": "a"}', headers={"content-type": kind})

    assert_refused(answer, 415)
    assert answer.json()["message"] == "Content-Type must be application/json"


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(client):
    endless = (b"x" * 10_000 for _ in range(20))

    answer = client.post("/predict", content=endless, headers={"content-type": "application/json"})

    assert_refused(answer, 413)


def test_a_caller_who_hangs_up_within_the_body_harms_nobody(client, live):
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{")

    assert client.post("/predict", json={"text": "goal"}).status_code == 200
    metrics = client.get("/metrics").text
    assert 'mlops_prediction_requests_total{model_version="v1.0.0",status="error"} 0.0' in metrics
