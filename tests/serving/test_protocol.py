"""What one connection may take of the server, with a server in this process and raw sockets."""

import json
import socket
import time
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPResponse

import pytest
from plugins import wire
from plugins.wire import HOLD_S, LIMITS, serving

from serving import protocol

GET = b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(scope="module")
def connect():
    with serving() as connect:
        yield connect


@pytest.fixture(scope="module")
def hasty():
    """The same, of a server that waits two seconds for what is to come."""
    with serving(replace(LIMITS, head_s=2, body_s=2)) as connect:
        yield connect


def all_of(caller: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while part := caller.recv(65536):
            parts.append(part)
    return b"".join(parts)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def whole(caller: socket.socket) -> tuple[int, bytes]:
    """Status and body of one answer, read to its end so that the next one can follow."""
    answer = HTTPResponse(caller)
    answer.begin()
    return answer.status, answer.read()


def drip(caller: socket.socket, data: bytes) -> bytes:
    """Send byte by byte until the server has had enough; what it says then."""
    for place in range(len(data)):
        caller.settimeout(0.1)
        with suppress(TimeoutError):
            caller.sendall(data[place : place + 1])
            said = caller.recv(65536)
            caller.settimeout(60)
            return said
    raise AssertionError("the server took all of it")


def test_a_head_that_does_not_end_is_cut_off(hasty):
    began = time.monotonic()

    callers = [hasty(sent) for sent in (b"", b"\r\n\r\n", b"GET /ping HT", GET[:-2])]
    answers = [all_of(caller) for caller in callers]

    assert time.monotonic() - began > 1.9
    assert answers[0] == b""
    assert [status(answer) for answer in answers[1:]] == [408, 408, 408]


def test_a_head_that_drips_gains_no_time_by_it(hasty):
    assert status(drip(hasty(), GET[:-2] + b"X-Slow: " + b"x" * 100)) == 408


@pytest.mark.parametrize("declared", [b"Content-Length: 900", b"Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_answered_408_in_the_error_shape(hasty, declared):
    caller = hasty(POST + declared + b"\r\n\r\n")

    answer = drip(caller, b"2BC\r\n" + b"x" * 300) + all_of(caller)

    head, body = answer.split(b"\r\n\r\n")
    assert status(answer) == 408
    assert b"connection: close" in head
    assert b"x-model-version: v1" in head
    assert json.loads(body)["error"] == "request_timeout"


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"x" * 5000,
        b"X" * 5000,
        b"X: 1\r\n" * 101,
        b"X: " + b"x" * 300_000,
        b"X: 1\r\n" * 50_000,
    ],
    ids=["long value", "long name", "many", "longer than one read", "very many"],
)
def test_a_head_that_is_too_large_is_431(connect, head):
    assert status(all_of(connect(b"GET /ping HTTP/1.1\r\n" + head + b"\r\n\r\n"))) == 431


def test_a_path_that_is_too_long_is_431(connect):
    assert status(all_of(connect(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n"))) == 431


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET /ping\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"X : y\r\n\r\n",
        POST + b"X: a\x00b\r\n\r\n",
    ],
)
def test_what_is_no_http_is_400_in_the_error_shape(connect, sent):
    answer = all_of(connect(sent))

    assert status(answer) == 400
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"] == "bad_request"


def test_a_chunk_that_is_none_ends_its_request_at_once(connect):
    answer = all_of(connect(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdeZZZ\r\n"))

    assert status(answer) == 400


def test_a_body_over_the_limit_ends_the_connection_unread(connect):
    caller = connect(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    sent = 0
    with suppress(ConnectionError):
        while sent < 50_000_000:
            caller.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536

    assert sent < 50_000_000
    assert status(caller.recv(65536)) == 413


def test_a_body_shorter_than_declared_is_answered_when_the_caller_hangs_up(connect):
    caller = connect(POST + b"Content-Length: 99\r\n\r\nabc")

    caller.shutdown(socket.SHUT_WR)

    assert all_of(caller) == b""


def test_a_refused_head_request_is_told_the_length_and_sent_no_body(connect):
    caller = connect(b"HEAD /busy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    head, _, body = all_of(caller).partition(b"\r\n\r\n")

    assert status(head) == 503
    assert int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]) > 0
    assert body == b""


def test_pipelined_requests_are_answered_in_their_order(connect):
    caller = connect(
        b"".join(POST + b"Content-Length: %d\r\n\r\n%b" % (n, b"x" * n) for n in (3, 1, 2))
    )
    answer = b""
    while answer.count(b"HTTP/1.1 200") < 3 or not answer.endswith(b"\r\n\r\n2"):
        answer += caller.recv(65536)

    assert [part[:1] for part in answer.split(b"\r\n\r\n")[1:]] == [b"3", b"1", b"2"]


def test_of_endless_pipelined_requests_few_are_taken(connect):
    caller = connect(GET * 17)
    with suppress(ConnectionError):
        for _ in range(2000):
            caller.sendall(GET * 500)

    answers = all_of(caller).count(b"HTTP/1.1 200")

    assert answers <= 34
    assert connect.shared.open < 50


def test_an_upgrade_that_is_not_spoken_is_answered_as_plain_http(connect):
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"

    caller = connect(POST + upgrade)
    first = whole(caller)
    caller.sendall(GET)

    assert first == (200, b"3")
    assert whole(caller) == (200, b"0")


def test_an_idle_connection_is_closed_and_a_used_one_is_not():
    with serving(replace(LIMITS, keep_alive_s=3)) as connect:
        used, idle = connect(GET), connect(GET)
        assert whole(used) == (200, b"0")
        end = time.monotonic() + 60
        while not connect.shared.closed and time.monotonic() < end:
            time.sleep(0.1)
            used.sendall(GET)
            assert whole(used) == (200, b"0")

        assert status(all_of(idle)) == 200
        assert connect.shared.closed == {"idle": 1}


def test_when_connections_run_out_the_idlest_make_room():
    with serving(replace(LIMITS, connections=20)) as connect:
        busy = connect(GET.replace(b"/ping", b"/slow"))
        idle = [connect(GET) for _ in range(10)]
        assert {status(one.recv(65536)) for one in idle} == {200}
        half = [connect(GET[:9]) for _ in range(8)]

        late = [connect(GET) for _ in range(8)]

        assert {status(one.recv(65536)) for one in late} == {200}
        assert status(busy.recv(65536)) == 200
        for one in half:
            one.sendall(GET[9:])
            assert status(one.recv(65536)) == 200
        assert connect.shared.closed["crowded"] >= 7
        assert connect.shared.open <= 21


def test_who_does_not_take_the_answer_is_cut_off():
    with serving(replace(LIMITS, body_s=0.5)) as connect:
        connect(GET.replace(b"/ping", b"/flood"))
        end = time.monotonic() + 60
        while connect.shared.closed["send"] < 1 and time.monotonic() < end:
            time.sleep(0.1)

        assert connect.shared.closed["send"] == 1


@pytest.mark.parametrize(("strained", "waits"), [(True, True), (False, False)])
def test_who_is_told_to_wait_is_held_to_it_when_answers_come_late(
    connect, monkeypatch, strained, waits
):
    monkeypatch.setattr(protocol, "_LATE_S", -1 if strained else 60)
    began = time.monotonic()
    caller = connect(GET.replace(b"/ping", b"/busy"))
    assert whole(caller)[0] == 503

    caller.sendall(GET)

    assert whole(caller) == (200, b"0")
    assert (time.monotonic() - began > 0.95 * HOLD_S) == waits


def test_work_whose_caller_has_left_is_known_to_be_vain(connect):
    caller = connect(GET.replace(b"/ping", b"/awaited"))
    time.sleep(0.2)
    assert not wire.LEFT.is_set()

    caller.close()

    assert wire.LEFT.wait(60)
