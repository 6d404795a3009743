"""An engine behind a port of this machine that answers as a test tells it to, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Listening:
    """What it speaks and answers, and what it was asked for: method and path."""

    newest: str = "1.41"
    oldest: str = "1.12"
    rows: dict[str, Any] = field(default_factory=dict)  # answers by path, without the version
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """Status and body, as an engine that knows the API from ``oldest`` to ``newest``."""
        self.asked.append((method, path))
        if path == "/version":
            return 200, {"ApiVersion": self.newest, "MinAPIVersion": self.oldest}
        version, _, rest = path.removeprefix("/v").partition("/")
        if _number(version) < _number(self.oldest):
            return 400, f"client version {version} is too old. Minimum supported API version is {self.oldest}"
        if _number(version) > _number(self.newest):
            return 400, f"client version {version} is too new. Maximum supported API version is {self.newest}"
        return 200, self.rows.get(f"/{rest.partition('?')[0]}", [])


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@contextmanager
def listening(engine: Listening) -> Iterator[Listening]:
    """Serve the engine at a port, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, said = engine.answer(self.command, self.path)
            body = json.dumps(said if status == 200 else {"message": said}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    engine.address = f"tcp://127.0.0.1:{server.server_port}"
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
