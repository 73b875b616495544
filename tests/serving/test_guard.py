"""Who is let in: keys, limits and addresses, and what the audit log keeps of it."""

import asyncio
import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serving import keys
from serving.contract import Refusal
from serving.guard import Guard
from serving.metrics import Metrics
from serving.settings import ServingSettings


@dataclass
class Routes:
    """Stand in for all that is behind the guard: answers 200 and keeps what came."""

    came: list[dict] = field(default_factory=list)

    async def __call__(self, scope, receive, send):
        self.came.append(scope)
        await receive()
        scope["state"]["model_version"] = "v1"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


@dataclass
class Answer:
    status: int
    headers: dict[str, str]


def ask(guard, path="/predict", peer="127.0.0.1", body=b"{}", method="POST", **headers) -> Answer:
    """One request through the guard, answered or refused."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": named}
    scope |= {"client": (peer, 1), "state": {"request_id": "r1"}}
    try:
        asyncio.run(guard(scope, receive, send))
    except Refusal as refusal:
        return Answer(refusal.status, {k.lower(): v for k, v in refusal.headers.items()})
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers)


@pytest.fixture
def made(tmp_path):
    """`made(id, class)` is a key; the file beside it holds what was made so far."""
    stored = []

    def make(caller="alice", kind="standard"):
        key, one = keys.make(caller, kind)
        stored.append(one)
        (tmp_path / "keys.json").write_text(keys.document(stored))
        return key

    return make


@pytest.fixture
def guarded(tmp_path):
    """`guarded(...)` is a guard with those settings, and the routes behind it."""

    def build(**given):
        if given.get("auth", "keys") == "keys" and not given.get("sagemaker"):
            given.setdefault("api_keys_file", tmp_path / "keys.json")
        routes = Routes()
        return Guard(ServingSettings(**given)).before(routes), routes

    return build


CLOSED = ["/predict", "/predict/batch", "/invocations", "/docs", "/redoc", "/openapi.json"]
CLOSED += ["/metrics", "/model/info", "/", "/health/", "/HEALTH", "/health/../metrics"]


def test_everything_but_the_probes_needs_a_key(made, guarded):
    key = made()
    guard, routes = guarded(rate_limit_enabled=False)

    refused = {path: ask(guard, path).status for path in CLOSED}
    let_in = {path: ask(guard, path, x_api_key=key).status for path in CLOSED}
    probes = {path: ask(guard, path).status for path in ("/health", "/health/live", "/ping")}

    assert set(refused.values()) == {401}
    assert set(let_in.values()) == set(probes.values()) == {200}
    assert len(routes.came) == len(CLOSED) + 3


def test_a_key_comes_in_either_header_and_names_its_caller(made, guarded):
    key = made("alice")
    guard, routes = guarded()

    ask(guard, x_api_key=key)
    ask(guard, authorization=f"Bearer {key}")
    basic = ask(guard, authorization=f"Basic {key}")

    assert [scope["state"]["caller"].id for scope in routes.came] == ["alice", "alice"]
    assert (basic.status, basic.headers["www-authenticate"]) == (401, "Bearer")


def test_a_browser_is_asked_for_the_key_on_the_pages_and_only_there(made, guarded):
    person = "Basic " + base64.b64encode(f"me:{made('alice')}".encode()).decode()
    guard, routes = guarded(rate_limit_enabled=False)
    pages = ("/docs", "/docs/swagger-ui.css", "/redoc", "/openapi.json")

    asked = [ask(guard, page, method="GET") for page in pages]
    let_in = [ask(guard, page, method="GET", authorization=person).status for page in pages]
    predicted = ask(guard, "/predict", authorization=person)
    garbled = ask(guard, "/docs", method="GET", authorization="Basic me:key")

    assert {one.headers["www-authenticate"].split()[0] for one in asked} == {"Basic"}
    assert let_in == [200] * len(pages)
    assert {scope["state"]["caller"].id for scope in routes.came} == {"alice"}
    assert (predicted.status, predicted.headers["www-authenticate"]) == (401, "Bearer")
    assert garbled.status == 401


def test_beside_sagemakers_own_paths_nothing_is_offered_without_keys(guarded):
    guard, _ = guarded(sagemaker=True, rate_limit_enabled=False)

    seen = {path: ask(guard, path).status for path in (*CLOSED, "/ping")}

    assert {path for path, status in seen.items() if status == 200} == {"/ping", "/invocations"}
    assert {status for status in seen.values() if status != 200} == {404}


def test_elsewhere_invocations_needs_a_key_even_where_sagemaker_may_call(made, guarded, tmp_path):
    key = made()
    guard, _ = guarded(sagemaker=True, api_keys_file=tmp_path / "keys.json")

    assert ask(guard, "/invocations").status == 200
    assert ask(guard, "/predict").status == 401
    assert ask(guard, "/predict", x_api_key=key).status == 200


def test_websockets_are_closed_unheard(guarded):
    guard, routes = guarded(auth="off")
    sent = []

    async def send(message):
        sent.append(message["type"])

    asyncio.run(guard({"type": "websocket", "path": "/ping"}, None, send))

    assert (sent, routes.came) == (["websocket.close"], [])


def test_each_class_has_its_limit_and_two_keys_of_one_caller_share_it(made, guarded):
    first, second, tester = made("alice"), made("alice"), made("load", "load-test")
    guard, _ = guarded(rate_limit_key_per_minute=5, rate_limit_load_test_per_minute=50)

    alice = [ask(guard, x_api_key=key) for key in (first, second) * 4]
    load = [ask(guard, x_api_key=tester).status for _ in range(20)]

    assert [one.status for one in alice] == [200] * 5 + [429] * 3
    assert set(load) == {200}
    assert [one.headers["ratelimit-remaining"] for one in alice[:6]] == list("432100")
    assert alice[0].headers["x-ratelimit-limit"] == "5"
    assert 1 <= int(alice[-1].headers["retry-after"]) <= 60


def test_wrong_keys_are_limited_by_address_and_never_lock_a_right_one_out(made, guarded):
    key = made()
    guard, routes = guarded()

    wrong = [ask(guard, x_api_key=f"{key[:-3]}{n}").status for n in range(100, 1000)]

    assert set(wrong) == {401, 429}
    assert wrong.count(401) <= 100
    assert routes.came == []
    assert ask(guard, x_api_key=key).status == 200


def test_a_forged_forwarded_header_does_not_make_a_new_caller(guarded):
    direct, _ = guarded(auth="off", rate_limit_per_minute=3)
    behind, _ = guarded(auth="off", rate_limit_per_minute=3, trusted_proxies="10.0.0.0/8")

    forged = [ask(direct, x_forwarded_for=f"1.1.1.{n}").status for n in range(6)]
    hidden = [
        ask(behind, peer="10.0.0.1", x_forwarded_for=f"1.1.1.{n}, 2.2.2.2, 10.0.0.9").status
        for n in range(6)
    ]
    apart = [
        ask(behind, peer="10.0.0.1", x_forwarded_for=f"2.2.2.2, 3.3.3.{n}").status for n in range(6)
    ]

    assert forged == hidden == [200] * 3 + [429] * 3
    assert apart == [200] * 6


def audited(file: Path, guard, calls) -> list[dict]:
    calls()
    guard._audit.close()
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_audit_log_says_who_when_which_version_and_how_it_ended(made, guarded, tmp_path):
    key, file = made("alice"), tmp_path / "audit.log"
    guard, _ = guarded(audit_file=file)

    def calls():
        ask(guard, x_api_key=key, body=b'{"text": "private"}')
        ask(guard, x_api_key=f"{key}x")
        ask(guard, "/admin\n{}\x1b[2J", x_api_key=key)

    lines = audited(file, guard, calls)

    told = [(one["caller"], one["class"], one["status"], one["path"]) for one in lines]
    assert told == [
        ("alice", "standard", 200, "/predict"),
        ("", "stranger", 401, "/predict"),
        ("alice", "standard", 200, "other"),
    ]
    assert lines[0]["key"] == key.removeprefix(keys.PREFIX).partition(".")[0]
    assert lines[0]["model_version"] == "v1"
    assert lines[1]["error"] == "unauthorized"
    assert all(one["timestamp"] and one["request_id"] == "r1" for one in lines)
    assert key.partition(".")[2] not in file.read_text()
    assert "private" not in file.read_text()


def test_the_audit_log_holds_the_bodys_hash_when_the_policy_says_so(made, guarded, tmp_path):
    key, file, body = made(), tmp_path / "audit.log", b'{"text": "private"}'
    guard, _ = guarded(audit_file=file, audit_text="hash")

    (line,) = audited(file, guard, lambda: ask(guard, x_api_key=key, body=body))

    assert line["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_a_full_disk_loses_audit_lines_counts_them_and_fails_nothing(made, guarded, tmp_path):
    key, full = made(), tmp_path / "full"
    full.symlink_to("/dev/full")
    guard, _ = guarded(audit_file=full)

    answers = [ask(guard, x_api_key=key).status for _ in range(50)]
    guard._audit.close()

    assert answers == [200] * 50
    metrics = Metrics()
    guard.tell(metrics)
    assert b"mlops_audit_lines_lost_total 50.0" in metrics.text()
