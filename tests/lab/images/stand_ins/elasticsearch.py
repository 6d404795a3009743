"""In front of noida-db, which answers as Elasticsearch: passwords and users, as far as a stack needs them."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORT, BEHIND = 9200, 9201
DATA = Path("/usr/share/elasticsearch/data")
SETTINGS = Path("/usr/share/elasticsearch/config/elasticsearch.yml")
PASSWORD = Path(os.environ.get("ELASTIC_PASSWORD_FILE", "/none"))
USERS = DATA / "users.json"
SECURITY = re.compile(r"/_security/(user/(?P<user>\w+)(/_password)?|role/\w+|_authenticate)$")


def is_secured() -> bool:
    return "xpack.security.enabled: true" in SETTINGS.read_text()


def users() -> dict[str, str]:
    stored: dict[str, str] = json.loads(USERS.read_text()) if USERS.exists() else {}
    return {**stored, "elastic": PASSWORD.read_text()}


class Gate(BaseHTTPRequestHandler):
    """Lets through whoever has a password."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def caller(self) -> str:
        """Name who asks; "" for nobody who is known."""
        _, _, given = self.headers.get("Authorization", "").partition(" ")
        name, _, password = base64.b64decode(given).decode().partition(":")
        return name if users().get(name) == password and password else ""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if is_secured():
            name = self.caller()
            if not name:
                return self.answer(401, b'{"error":{"reason":"missing or wrong credentials"},"status":401}')
            if found := SECURITY.match(path):
                return self.manage(name, found, body)
        return self.pass_on(body)

    def manage(self, name: str, found: re.Match[str], body: bytes) -> None:
        if self.command == "GET":
            return self.answer(200, json.dumps({"username": name}).encode())
        if name != "elastic":
            return self.answer(403, b'{"error":{"reason":"only elastic may"},"status":403}')
        if user := found["user"]:
            USERS.write_text(json.dumps({**users(), user: json.loads(body)["password"]}))
        return self.answer(200, b"{}")

    def pass_on(self, body: bytes) -> None:
        behind = http.client.HTTPConnection("127.0.0.1", BEHIND, timeout=30)
        kept = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
        try:
            behind.request(self.command, self.path, body or None, kept)
            said = behind.getresponse()
            self.answer(said.status, said.read(), said.headers.get("Content-Type") or "application/json")
        except OSError:
            self.answer(503, b'{"error":{"reason":"it starts"},"status":503}')

    def log_message(self, *_: Any) -> None:
        """Say nothing: its own lines would come back as logs."""


for _method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
    setattr(Gate, f"do_{_method}", Gate.handle_any)


def main() -> None:
    DATA.mkdir(parents=True, exist_ok=True)
    store = ["/bin/noida-db", "start", "--only", "elasticsearch", "--elasticsearch-port", str(BEHIND)]
    behind = subprocess.Popen([*store, "--data-dir", str(DATA / "store")], stdout=subprocess.DEVNULL)

    def leave(*_: object) -> None:
        behind.terminate()
        behind.wait(20)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    sys.stdout.write("started\n")
    ThreadingHTTPServer(("", PORT), Gate).serve_forever()


if __name__ == "__main__":
    main()
