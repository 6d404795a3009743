"""Whatever the lab's endpoint answers, or does not, is one clear line; waiting goes on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.lab.aws import lab_api
from tests.lab.state import Lab, LabError
from tests.lab.swarm import engine

BODIES = {"/refused": b'{"error": "no such host"}', "/broken": b"<html>busy</html>", "/list": b"[]"}


class Endpoint(BaseHTTPRequestHandler):
    """Refuses with its words, with something else, breaks off, and answers what is not JSON."""

    def do_GET(self) -> None:
        if self.path in BODIES:
            self.send_response(500)
            self.end_headers()
            self.wfile.write(BODIES[self.path])
        elif self.path == "/nonsense":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"not JSON")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def lab() -> Iterator[Lab]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield Lab("lab", 0, "blue", endpoint=f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/refused", "^no such host$"),
        ("/broken", "^the endpoint answers 500: <html>busy</html>$"),
        ("/list", r"^the endpoint answers 500: \[\]$"),
        ("/nonsense", "^the endpoint of lab 'lab' does not answer: JSONDecodeError"),
        ("/breaks-off", "^the endpoint of lab 'lab' does not answer: RemoteDisconnected"),
    ],
)
def test_what_is_no_answer_is_told_in_one_line(lab: Lab, path: str, told: str) -> None:
    with pytest.raises(LabError, match=told):
        lab_api.ask(lab, "GET", path)


@pytest.mark.parametrize(
    "trouble",
    [ReadTimeoutError(endpoint_url="http://x"), ClientError({"Error": {"Code": "Throttling"}}, "Scan")],
)
def test_aws_that_does_not_answer_at_once_is_asked_again(trouble: Exception) -> None:
    answers: Iterator[Exception | str] = iter([trouble, "there"])

    def look() -> str:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    assert engine.wait_until(look, "it is there", seconds=10, pause=0) == "there"
