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
    "white space": (b" \t\r\n", 400),
    "not JSON": (b"hello " + SECRET.encode(), 400),
    "single quotes": (b"{'text': 'a'}", 400),
    "a comment": (b'/* a */ {"text": "a"}', 400),
    "trailing comma": (b'{"text": "a",}', 400),
    "cut JSON": (b'{"text": "abc', 400),
    "cut escape": (b'{"text": "\\u12', 400),
    "unknown escape": (b'{"text": "\\x41"}', 400),
    "two values": (b'{"text": "a"} {"text": "b"}', 400),
    "invalid UTF-8": (b'{"text": "\xff\xfe"}', 400),
    "overlong UTF-8": (b'{"text": "\xc0\xaf"}', 400),
    "surrogate in UTF-8": (b'{"text": "\xed\xa0\x80"}', 400),
    "cut UTF-8": (b'{"text": "\xe2\x82"}', 400),
    "UTF-16": ('{"text": "abc"}'.encode("utf-16"), 400),
    "UTF-16 without a mark": ('{"text": "abc"}'.encode("utf-16-le"), 400),
    "UTF-32": ('{"text": "abc"}'.encode("utf-32"), 400),
    "byte order mark": (b'\xef\xbb\xbf{"text": "a"}', 400),
    "NaN": (b'{"text": NaN}', 400),
    "Infinity": (b'{"text": -Infinity}', 400),
    "1e400": (b'{"text": 1e400}', 400),
    "leading zero": (b'{"text": 01}', 400),
    "number of 5,000 digits": (b'{"text": ' + b"9" * 5000 + b"}", 400),
    "deep lists": (b"[" * 30_000 + b"]" * 30_000, 400),
    "deep lists that never end": (b"[" * 60_000, 400),
    "deep objects": (b'{"text":' * 7_000 + b"1" + b"}" * 7_000, 400),
    "raw control character": (b'{"text": "a\nb"}', 400),
    "raw NUL": (b'{"text": "a"}\x00', 400),
    "lone surrogate": (b'{"text": "\\ud800 a"}', 400),
    "lone low surrogate in data": (b'{"data": "a \\udc00"}', 400),
    "surrogate in a field name": (b'{"text": "a", "\\ud800": 1}', 400),
    "a key twice": (b'{"text": "a", "text": "b"}', 400),
    "a key twice, once escaped": (b'{"text": "a:", "te\\u0078t": "b"}', 400),
    "a version twice": (b'{"text": "a", "model_version": null, "model_version": null}', 400),
    "a key twice within": (b'{"text": {"a": 1, "a": 2}}', 400),
    "gzip": (b"\x1f\x8b\x08\x00" + b"\x00" * 20, 400),
    "form fields": (b"text=" + SECRET.encode(), 400),
    "null": (b"null", 422),
    "a string": (js(SECRET), 422),
    "a list": (js([{"text": "a"}]), 422),
    "a number": (b"12", 422),
    "no key": (b"{}", 422),
    "empty key": (b'{"": "a"}', 422),
    "wrong key": (js({SECRET: "a"}), 422),
    "key in capitals": (js({"TEXT": "a"}), 422),
    "unknown field": (js({"text": "a", SECRET: 1}), 422),
    "text and data": (js({"text": "a", "data": "b"}), 422),
    "text is a number": (js({"text": 5}), 422),
    "text is null": (js({"text": None}), 422),
    "text is a list": (js({"text": [SECRET]}), 422),
    "text is an object": (js({"text": {"text": SECRET}}), 422),
    "data is true": (js({"data": True}), 422),
    "version is a number": (js({"text": "a", "model_version": 1}), 422),
    "version with data": (js({"data": "a", "model_version": "v1.0.0"}), 422),
    "unknown version": (js({"text": "a", "model_version": SECRET}), 404),
    "empty version": (js({"text": "a", "model_version": ""}), 404),
    "empty text": (js({"text": ""}), 422),
    "blank text": (js({"text": " \t\n\u3000"}), 422),
    "empty data": (js({"data": ""}), 422),
    "NUL": (js({"text": "a\x00"}), 422),
    "escape sequence": (js({"text": "\x1b[31m" + SECRET}), 422),
    "too long": (js({"text": LONG}), 422),
    "too long data": (js({"data": LONG}), 422),
    "texts to the wrong route": (js({"texts": ["a"]}), 422),
    "over the body limit": (js({"text": "x" * 70_000}), 413),
    "odd but fine: emoji": (js({"text": "😀" * 200}), 200),
    "odd but fine: right to left": (js({"text": "\u202e\u200b abc"}), 200),
    "odd but fine: a quoted object": (js({"text": '{"text": "a", "text": "b"}'}), 200),
    "odd but fine: 512 combined letters": (js({"text": "e\u0301" * 256}), 200),
    "odd but fine: white space around": (b' \n{"text" : "a"}\r\n ', 200),
}

BATCHES = {
    "no texts": ({"texts": []}, 422),
    "one text as a string": ({"texts": "abc"}, 422),
    "an object of texts": ({"texts": {"0": "a"}}, 422),
    "a number among texts": ({"texts": ["a", 1]}, 422),
    "a blank among texts": ({"texts": ["a", ""]}, 422),
    "a NUL among texts": ({"texts": ["a", "\x00"]}, 422),
    "a long one among texts": ({"texts": ["a", LONG]}, 422),
    "a list among texts": ({"texts": ["a", [SECRET]]}, 422),
    "too many": ({"texts": ["a"] * 129}, 422),
    "text": ({"text": "a"}, 422),
    "unknown version": ({"texts": ["a"], "model_version": SECRET}, 404),
}

HEADERS = {
    "no time": ({"X-Request-Timeout-Ms": "0"}, 422),
    "a negative time": ({"X-Request-Timeout-Ms": "-5"}, 422),
    "a fraction": ({"X-Request-Timeout-Ms": "1.5"}, 422),
    "words for a time": ({"X-Request-Timeout-Ms": SECRET}, 422),
    "more time than there is": ({"X-Request-Timeout-Ms": "30001"}, 422),
    "digits that are none": ({"X-Request-Timeout-Ms": "\u00b2".encode("latin-1")}, 422),
    "a time of 5,000 digits": ({"X-Request-Timeout-Ms": "9" * 5000}, 422),
    "an empty routing key": ({"X-Routing-Key": ""}, 422),
    "a long routing key": ({"X-Routing-Key": SECRET * 20}, 422),
    "another charset": ({"Content-Type": "application/json; charset=latin-1"}, 415),
    "fine: all of the time": ({"X-Request-Timeout-Ms": "30000"}, 200),
    "fine: a routing key of any bytes": ({"X-Routing-Key": b"\xff\xfe user"}, 200),
    "fine: a charset": ({"Content-Type": 'Application/JSON; charset="UTF-8"'}, 200),
    "fine: an Accept": ({"Accept": "image/png"}, 200),
}


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


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_makes_no_sense_is_refused_without_an_echo(client, case):
    headers, status = HEADERS[case]

    body = js({"text": "goal"})
    sent = {"Content-Type": "application/json"} | headers

    assert_refused(client.post("/predict", content=body, headers=sent), status)


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/invocations"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png"])
def test_another_content_type_is_415_and_told_what_is_taken(client, path, kind):
    answer = client.post(path, content=b'{"text": "a"}', headers={"content-type": kind})

    assert_refused(answer, 415)
    assert answer.json()["message"].startswith("Content-Type must be application/json")


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
