"""A live server with keys, limits, TLS and an audit log: what a stranger gets and what he does not.

The certificate and the TLS settings themselves: test_tls.
"""

import json
import ssl
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from pathlib import Path

import httpx
import pytest

from serving import keys

CLOSED = ["/docs", "/redoc", "/openapi.json", "/metrics", "/model/info", "/nothing"]


@dataclass
class Guarded:
    """The live server, a caller of it, and the files it was given."""

    server: object
    caller: httpx.Client
    trust: ssl.SSLContext
    key_file: Path
    audit_file: Path
    made: list[tuple[str, keys.StoredKey]] = field(default_factory=list)

    def key(self, caller: str) -> str:
        """A new key, which the server will soon know."""
        self.made.append(keys.make(caller, "load-test"))
        self.store(*self.made)
        return self.made[-1][0]

    def store(self, *made: tuple[str, keys.StoredKey]) -> None:
        beside = self.key_file.with_suffix(".new")
        beside.write_text(keys.document(one for _, one in made))
        beside.replace(self.key_file)

    def ask(self, key: str = "", **headers: str) -> httpx.Response:
        given = {"X-API-Key": key} if key else {}
        return self.caller.post("/predict", json={"text": "a goal"}, headers=given | headers)

    def wait(self, key: str, *statuses: int) -> None:
        end = time.monotonic() + 60
        while (seen := self.ask(key).status_code) not in statuses and time.monotonic() < end:
            time.sleep(0.05)
        assert seen in statuses


@pytest.fixture(scope="module")
def guarded(start, served, pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("access")
    certificate, tls_key = pair
    first = keys.make("first")
    (folder / "keys.json").write_text(keys.document([first[1]]))
    server = start(
        MODEL_PATH=served,
        AUTH="keys",
        API_KEYS_FILE=folder / "keys.json",
        API_KEYS_REFRESH_S=0.1,
        RATE_LIMIT_ENABLED="true",
        AUDIT_FILE=folder / "audit.log",
        TLS_CERT_FILE=certificate,
        TLS_KEY_FILE=tls_key,
        LOG_LEVEL="DEBUG",
    )
    url = server.url.replace("http:", "https:")
    trusting = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(base_url=url, verify=trusting, timeout=60) as caller:
        end = time.monotonic() + 120
        while time.monotonic() < end and server.process.poll() is None:
            with suppress(httpx.TransportError):
                if caller.get("/health").status_code == 200:
                    break
            time.sleep(0.1)
        assert server.process.poll() is None, server.process.communicate()
        yield Guarded(server, caller, trusting, folder / "keys.json", folder / "audit.log", [first])


def test_probes_are_open_and_all_else_is_closed(guarded):
    health = guarded.caller.get("/health")
    closed = {path: guarded.caller.get(path) for path in CLOSED}

    assert health.status_code == guarded.caller.get("/ping").status_code == 200
    assert "max-age" in health.headers["strict-transport-security"]
    assert {answer.status_code for answer in closed.values()} == {401}
    body = closed["/docs"].json()
    assert (body["error"], set(body)) == (
        "unauthorized",
        {"error", "message", "timestamp", "request_id"},
    )
    assert closed["/metrics"].headers["www-authenticate"] == "Bearer"
    assert closed["/docs"].headers["www-authenticate"].startswith("Basic ")
    assert closed["/docs"].headers["x-request-id"] == body["request_id"]


def test_a_stranger_is_refused_before_the_body_is_read(guarded):
    url = guarded.caller.base_url
    with closing(
        HTTPSConnection(url.host, url.port, timeout=60, context=guarded.trust)
    ) as stranger:
        stranger.putrequest("POST", "/predict")
        stranger.putheader("Content-Length", "50000")
        stranger.endheaders()

        assert stranger.getresponse().status in (401, 429)


def test_a_key_is_rotated_while_its_caller_asks_and_not_one_request_fails(guarded):
    old = guarded.key("alice")
    guarded.wait(old, 200)
    current, seen, done = [old], [], threading.Event()

    def ask_on():
        while not done.is_set():
            seen.append(guarded.ask(current[0]).status_code)

    asking = threading.Thread(target=ask_on)
    asking.start()
    new = guarded.key("alice")
    guarded.wait(new, 200)
    current[0] = new
    wanted, end = len(seen) + 5, time.monotonic() + 60  # the first of them may still be by the old
    while len(seen) < wanted and time.monotonic() < end:
        time.sleep(0.02)
    guarded.store(guarded.made[0], guarded.made[-1])
    guarded.wait(old, 401, 429)
    done.set()
    asking.join()

    assert set(seen) == {200}
    assert len(seen) >= 5
    assert guarded.ask(new).status_code == 200


def test_a_caller_is_told_the_limit_and_a_forged_address_is_worth_nothing(guarded):
    key = guarded.key("bob")
    guarded.wait(key, 200)

    told = guarded.ask(key).headers
    forged = []
    while len(forged) < 200 and (not forged or forged[-1].status_code == 401):
        named = {"X-Forwarded-For": f"1.1.1.{len(forged)}"}
        forged.append(guarded.ask("wrong", **named))

    assert told["ratelimit-limit"] == "60000"
    assert int(told["ratelimit-remaining"]) < 60000
    assert forged[-1].status_code == 429
    assert forged[-1].json()["error"] == "rate_limited"
    assert int(forged[-1].headers["retry-after"]) >= 1


def test_the_logs_name_callers_and_hold_no_key_and_no_text(guarded):
    key = guarded.key("carol")
    guarded.wait(key, 200)
    guarded.ask(f"{key}x")

    guarded.server.process.terminate()
    output, errors = guarded.server.process.communicate(timeout=60)

    lines = [json.loads(line) for line in guarded.audit_file.read_text().splitlines()]
    assert {"alice", "bob", "carol", ""} <= {line["caller"] for line in lines}
    assert {line["model_version"] for line in lines if line["caller"] == "carol"} == {"unversioned"}
    written = output + errors + guarded.audit_file.read_text()
    assert "carol" in output
    assert "a goal" not in written
    for made, _ in guarded.made:
        assert made.partition(".")[2] not in written


def test_without_a_usable_key_no_server_starts(start, tmp_path):
    (tmp_path / "blank.json").write_text(" \n")
    closed = {"AUTH": "keys", "MODEL_PATH": tmp_path}

    refused = {
        "AUTH=keys, but no API_KEYS_FILE": start(**closed),
        "AUTH=keys, but no API_KEYS_FILE and": start(**closed, API_KEYS_FILE=""),
        f"API_KEYS_FILE={tmp_path}/blank.json is empty": start(
            **closed, API_KEYS_FILE=tmp_path / "blank.json"
        ),
        # There the keys are IAM's matter, so that it is the bundle that is missed.
        f"{tmp_path}/manifest.json": start("serve", **closed),
    }

    for said, server in refused.items():
        _, errors = server.process.communicate(timeout=120)
        assert server.process.returncode == 1
        assert errors.startswith(f"serving: {said}")
        assert errors.count("\n") == 1
