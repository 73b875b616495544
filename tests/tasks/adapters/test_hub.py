import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tasks.adapters import hub, sources
from tasks.classifiers import Hub
from tasks.errors import BadData

SHA = "5" * 40
FILES = {
    f"{split}.jsonl": b"".join(
        json.dumps({"text": f"{split} {at}", "label": at % 2, "more": 1}).encode() + b"\n"
        for at in range(3)
    )
    for split in ("train", "test")
}


class HubHandler(http.server.BaseHTTPRequestHandler):
    """The part of the hub's API that reading one public data set takes."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        home = "/api/datasets/someone/rows"
        if path in (home, f"{home}/revision/main", f"{home}/revision/{SHA}"):
            siblings = [{"rfilename": name} for name in FILES]
            told = {"id": "someone/rows", "sha": SHA, "siblings": siblings, "private": False}
            self.answer(json.dumps({**told, "tags": [], "downloads": 0, "likes": 0}).encode())
        elif path.startswith(f"{home}/tree/"):
            self.answer(json.dumps([entry(name) for name in FILES]).encode())
        elif path.startswith("/datasets/someone/rows/resolve/") and path.split("/")[-1] in FILES:
            self.answer(FILES[path.split("/")[-1]])
        else:
            self.answer(b'{"error": "not found"}', 404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["paths"]
        self.answer(json.dumps([entry(name) for name in asked if name in FILES]).encode())

    def answer(self, body: bytes, status: int = 200) -> None:
        first = 0
        if wanted := self.headers.get("Range"):
            first, last = wanted.removeprefix("bytes=").split("-")
            body, status = body[int(first) : int(last) + 1 if last else None], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", '"one"')
        self.send_header("X-Repo-Commit", SHA)
        self.send_header("Accept-Ranges", "bytes")
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def entry(name: str) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(FILES[name]), "oid": "1" * 40}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), HubHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(hub.constants, "ENDPOINT", url)
        yield url
        server.shutdown()
        thread.join()


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(hub.constants, "ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(BadData, match=r"hub_unreachable: .*give source= a local folder"):
        hub.from_hub("hub://someone/rows", Hub().files, tmp_path)


def test_a_data_set_that_the_hub_does_not_have_is_named(endpoint, tmp_path):
    with pytest.raises(BadData, match=r"not_on_hub: .*/someone/else answered 404"):
        hub.from_hub("hub://someone/else", Hub().files, tmp_path)


def test_hub_rows_come_as_json_lines(endpoint, tmp_path):
    script = """
import sys
from pathlib import Path
from tasks.adapters import hub
from tasks.classifiers import Hub
from tasks.errors import BadData
folder = Path(sys.argv[1])
print(hub.from_hub("hub://someone/rows", Hub().files, folder))
try:
    hub.from_hub("hub://someone/rows", Hub(text=("body",)).files, folder / "other")
except BadData as error:
    print(error)
"""
    (tmp_path / "other").mkdir()
    # The hub's client reads its address once, when it is imported.
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "USE_TORCH": "0",
    }

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    assert "train=('train.jsonl',), test=('test.jsonl',), jsonl=True" in done.stdout
    assert "no column ['body']; there are ['label', 'more', 'text']" in done.stdout
    assert list(sources.lines(tmp_path / "train.jsonl")) == [
        b'{"text": "train 0", "label": 0}\n',
        b'{"text": "train 1", "label": 1}\n',
        b'{"text": "train 2", "label": 0}\n',
    ]
