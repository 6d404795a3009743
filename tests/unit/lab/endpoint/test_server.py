"""The server hands on what it does not answer, byte for byte, on connections that stay open."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.lab import state
from tests.lab.endpoint.__main__ import build
from tests.lab.endpoint.server import Server, serve
from tests.lab.observe import journal


class Backend(BaseHTTPRequestHandler):
    """Answers with what it was sent; closes every connection that asks for it."""

    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        """Echo."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(200)
        self.send_header("Content-Length", "99" if self.command == "HEAD" else str(len(body)))
        self.send_header("X-Seen", f"{self.path} {self.headers['Host']} {self.headers['X-Amz-Meta']}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = "close" in self.path

    do_GET = do_PUT = do_POST = do_HEAD = handle_any  # noqa: N815


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(state, "ROOT", tmp_path)
    state.create("lab", "blue", [0])
    backend = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    made = serve(build("lab", backend.server_address[1]), "127.0.0.1", 0)
    for one in (backend, made):
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    for one in (made, backend):
        one.shutdown()
        one.server_close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, **more: Any
) -> tuple[str, bytes, str]:
    connection.request(method, path, headers={"X-Amz-Meta": "m"}, **more)
    answer = connection.getresponse()
    return answer.headers["X-Seen"], answer.read(), answer.headers["Content-Length"]


def test_bodies_headers_and_queries_arrive_as_they_were_sent(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
    host = f"127.0.0.1:{server.server_address[1]}"
    big = bytes(range(256)) * 20_000
    assert ask(connection, "PUT", "/b/k%20y?a=%2F&b", body=big) == (
        f"/b/k%20y?a=%2F&b {host} m",
        big,
        str(len(big)),
    )
    chunks = iter([b"one", b"two", b"three"])
    seen = ask(connection, "PUT", "/chunked", body=chunks, encode_chunked=True)
    assert seen == (f"/chunked {host} m", b"onetwothree", "11")


def test_the_answer_to_head_keeps_the_length_that_it_tells(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
    assert ask(connection, "HEAD", "/b/k")[2] == "99"


def test_a_backend_that_closes_its_connections_is_not_noticed(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
    assert [ask(connection, "POST", "/close", body=b"x")[1] for _ in range(4)] == [b"x"] * 4


def test_many_clients_are_served_at_once(server: Server) -> None:
    answers: list[bytes] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
        answers.extend(ask(connection, "POST", "/", body=f"{number}-{n}".encode())[1] for n in range(5))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 50


def test_every_call_is_written_down(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
    ask(connection, "GET", "/b/k?AWSAccessKeyId=a&Signature=b")
    (call,) = journal.read(state.load("lab"))
    assert isinstance(call, journal.Call)
    assert (call.action, call.who, call.status) == ("s3:GetObject", "lab", 200)


def test_a_function_is_not_invoked_with_what_is_no_json(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20261123/us-east-1/lambda/aws4_request, ..."}
    path = "/2015-03-31/functions/status/invocations"
    for body, status in (("nonsense", 400), ('{"cluster": "blue"}', 200), ("", 200)):
        connection.request("POST", path, body, {**signed, "X-Amz-Meta": "m"})
        answer = connection.getresponse()
        said = answer.read().decode()
        assert (answer.status, answer.headers["x-amzn-errortype"] is None) == (status, status == 200)
        assert said == body or "Could not parse request body into json" in said


def test_an_unknown_path_of_the_lab_is_said_to_be_unknown(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
    connection.request("GET", "/_lab/nothing")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (404, b'{"error": "the lab has no GET /_lab/nothing"}')
