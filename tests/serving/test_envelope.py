import asyncio
import json
import re

import pytest

from serving.contract import Refusal
from serving.envelope import Envelope, send_whole
from serving.metrics import Metrics


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def ask(metrics):
    """Send a request to an app within the envelope; status, headers, body."""

    def send_to(app, *headers: tuple[bytes, bytes], path="/predict", scheme="http", **extra):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "scheme": scheme}
        scope |= {"headers": list(headers), **extra}
        envelope = Envelope(app, metrics, lambda: ("v1", "abc"))
        asyncio.run(envelope(scope, None, send))
        start, *parts = sent
        return start["status"], dict(start["headers"]), b"".join(p["body"] for p in parts)

    return send_to


async def fine(scope, receive, send):
    scope["state"].update(model_version="v2", bundle_digest="def")
    scope["state"]["timings"].update(queue=0.001, tokenize=0.002, infer=0.003)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def overloaded(scope, receive, send):
    raise Refusal(503, "overloaded", "Too much", {"Retry-After": "1", "retry-after-ms": "250"})


async def broken(scope, receive, send):
    raise RuntimeError("a user's text")


def test_an_answer_names_the_version_that_made_it(ask):
    _, headers, _ = ask(fine)

    assert (headers[b"x-model-version"], headers[b"x-bundle-digest"]) == (b"v2", b"def")


def test_a_refusal_names_the_primary_version_and_keeps_its_headers(ask):
    status, headers, body = ask(overloaded, (b"x-request-id", b"abc-1"))

    assert status == 503
    assert list(json.loads(body)) == ["error", "message", "timestamp", "request_id"]
    assert json.loads(body)["request_id"] == "abc-1"
    assert headers[b"retry-after-ms"] == b"250"
    assert headers[b"x-model-version"] == b"v1"


def test_an_unexpected_error_is_500_without_its_message(ask):
    status, _, body = ask(broken)

    assert (status, json.loads(body)["error"]) == (500, "internal_error")
    assert b"text" not in body


@pytest.mark.parametrize("path", ["/predict", "/docs"])
def test_answers_carry_security_headers(ask, path):
    _, headers, _ = ask(fine, path=path)

    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"x-frame-options"] == b"DENY"
    assert headers[b"cache-control"] == b"no-store"
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert (b"script-src" in headers[b"content-security-policy"]) == (path == "/docs")
    assert b"strict-transport-security" not in headers


def test_browsers_are_told_to_stay_with_tls_over_tls_only(ask):
    assert b"strict-transport-security" in ask(fine, scheme="https")[1]


def test_times_are_told_to_who_asks(ask):
    assert b"server-timing" not in ask(fine)[1]

    told = ask(fine, (b"x-server-timing", b"1"))[1][b"server-timing"].decode()

    assert told.startswith("queue;dur=1.00, tokenize;dur=2.00, infer;dur=3.00, total;dur=")


@pytest.mark.parametrize("given", [b"a\x1b[31m", b"a b", b"", b"x" * 129, "é".encode(), b"a\nb"])
def test_an_id_that_could_forge_a_log_line_is_replaced(ask, given):
    assert re.fullmatch(b"[0-9a-f]{32}", ask(fine, (b"x-request-id", given))[1][b"x-request-id"])


def test_every_request_is_logged_with_its_stages_and_no_text(ask, caplog):
    caplog.set_level("INFO")

    ask(fine, (b"x-request-id", b"abc"))
    ask(overloaded, path="/a/caller's/own\ntext")

    first, second = (record.fields for record in caplog.records)
    assert first["request_id"] == "abc"
    assert (first["status"], first["model_version"], first["queue_ms"]) == (200, "v2", 1.0)
    assert (second["path"], second["error"]) == ("unknown", "overloaded")


def test_versions_are_counted_apart_and_refusals_by_their_reason(ask, metrics):
    ask(fine)
    ask(overloaded)

    text = metrics.text().decode()

    assert 'mlops_prediction_requests_total{model_version="v2",status="success"} 1.0' in text
    assert 'mlops_prediction_requests_total{model_version="v1",status="error"} 1.0' in text
    assert 'mlops_requests_refused_total{error="overloaded"} 1.0' in text


def test_a_server_that_writes_ready_made_headers_gets_the_same_ones(ask):
    _, plain, _ = ask(fine)
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "scheme": "http"}
    scope |= {"headers": [], "extensions": {"whole_answers": True}}
    asyncio.run(Envelope(fine, Metrics(), lambda: ("v1", "abc"))(scope, None, send))

    lines = sent[0]["fixed"].split(b"\r\n")[:-1]
    ready = dict(line.split(b": ", 1) for line in lines)
    assert ready == {name: value for name, value in plain.items() if name != b"x-request-id"}


def test_a_whole_answer_comes_apart_for_a_server_that_is_not_ours(ask):
    async def whole(scope, receive, send):
        await send_whole(send, 200, b"text/plain", b"all of it")

    status, headers, body = ask(whole)

    assert (status, body) == (200, b"all of it")
    assert headers[b"content-length"] == b"9"
    assert headers[b"x-model-version"] == b"v1"
