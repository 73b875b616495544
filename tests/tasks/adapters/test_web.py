import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tasks.adapters import sources
from tasks.errors import NotFound
from tasks.retries import may_pass

PACKED = gzip.compress(b"one\ntwo\n")


class Handler(http.server.BaseHTTPRequestHandler):
    """One good file, and every way in which a server fails."""

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/rows.csv.gz" | "/":
                self.answer(200, PACKED)
            case "/moved":
                self.answer(302, b"", Location="/rows.csv.gz")
            case "/packed-on-the-way":
                assert self.headers["Accept-Encoding"] == "identity"
                self.answer(200, PACKED, Content_Encoding="gzip")
            case "/cut":
                self.answer(200, PACKED, Content_Length="4000")
            case "/slow":
                self.answer(200, b"one", Content_Length="4000")
                with suppress(ConnectionError):
                    self.rfile.read(1)  # until the client gives up
            case "/busy":
                self.answer(503, b"")
            case _:
                self.answer(404, b"")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/rows.csv.gz?version=1", "rows.csv.gz"),
        ("/moved", "moved"),
        ("/packed-on-the-way", "packed-on-the-way"),
        ("/", "data"),
    ],
)
def test_a_file_from_the_web_comes_here(web, tmp_path, path, name):
    found = sources.from_web(f"{web}{path}", tmp_path)

    assert found == sources.LocalFiles(tmp_path, (name,))
    assert list(sources.lines(tmp_path / name)) == [b"one\n", b"two\n"]


def test_a_missing_page_is_not_found_and_not_tried_again(web, tmp_path):
    with pytest.raises(NotFound, match=r"/nothing\.csv: the server answered 404") as caught:
        sources.from_web(f"{web}/nothing.csv", tmp_path)

    assert not may_pass(caught.value)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/cut", httpx.RemoteProtocolError),
        ("/slow", httpx.ReadTimeout),
        ("/busy", httpx.HTTPStatusError),
    ],
)
def test_what_may_pass_names_the_address_and_is_tried_again(
    web, tmp_path, monkeypatch, path, error
):
    if error is httpx.ReadTimeout:
        monkeypatch.setattr(sources, "TIMEOUT_S", 0.3)

    with pytest.raises(error, match=f"{web}{path}") as caught:
        sources.from_web(f"{web}{path}", tmp_path)

    assert may_pass(caught.value)


def test_a_server_that_is_not_there_may_come_back(tmp_path):
    with pytest.raises(httpx.ConnectError, match=r"http://127\.0\.0\.1:9/x") as caught:
        sources.from_web("http://127.0.0.1:9/x", tmp_path)

    assert may_pass(caught.value)
