"""The fixture `letterbox`: a webhook and a mail server on loopback that keep what they are sent."""

import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Letterbox:
    """What came, and the URLs by which Apprise brings it; the webhook answers with `status`."""

    webhook: str = ""
    mail: str = ""
    status: int = 200
    posts: list[dict[str, Any]] = field(default_factory=list)
    letters: list[EmailMessage] = field(default_factory=list)


def _webhook(box: Letterbox) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if box.status == 200:
                box.posts.append(json.loads(content))
            self.send_response(box.status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _mail(box: Letterbox) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        """As much of SMTP (RFC 5321) as a client needs to leave a letter."""

        def handle(self) -> None:
            self._say("220 letterbox")
            for line in self.rfile:
                verb = line.strip().upper()[:4]
                if verb == b"DATA":
                    self._say("354 go on")
                    box.letters.append(self._letter())
                self._say("221 bye" if verb == b"QUIT" else "250 ok")
                if verb == b"QUIT":
                    return

        def _letter(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            letter = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(letter, EmailMessage)
            return letter

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    return Handler


@pytest.fixture
def letterbox() -> Iterator[Letterbox]:
    box = Letterbox()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _webhook(box))
    smtp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _mail(box))
    smtp.daemon_threads = True
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in (http, smtp)]
    for thread in threads:
        thread.start()
    box.webhook = f"json://127.0.0.1:{http.server_port}/T0/B0/hush"
    box.mail = f"mailto://127.0.0.1:{smtp.server_address[1]}?from=a@example.com&to=b@example.com"
    yield box
    for server in (http, smtp):
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()
