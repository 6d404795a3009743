"""Node events as they come from an engine, and how their stream ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bootstrap.balancer.operator import GATHER_S, Listener
from bootstrap.engine.client import Engine, RefusedError
from bootstrap.engine.node_event import NodeEvent

READY = NodeEvent("update", "n02", "host-02", {"state": ("unknown", "ready")})
LABELLED = NodeEvent("update", "n02", "host-02")
LINE = json.dumps({"Action": "update", "Actor": {"ID": "n02", "Attributes": {"name": "host-02"}}}) + "\n"


def test_a_listener_gathers_what_comes_together_and_says_when_it_ended() -> None:
    gathered = threading.Event()

    def events() -> Iterator[NodeEvent]:
        yield READY
        yield LABELLED
        gathered.wait(60)
        yield LABELLED

    listener = Listener(events())
    begun = time.monotonic()
    assert listener.next_events(60.0) == (READY, LABELLED)
    assert time.monotonic() - begun >= GATHER_S
    assert not listener.ended
    assert listener.next_events(0.0) == ()
    gathered.set()
    assert listener.next_events(60.0) == (LABELLED,)
    assert listener.ended
    assert listener.next_events(5.0) == ()


@pytest.fixture
def engine() -> Iterator[Callable[[str], Engine]]:
    """Engines behind a port: each says one event and then does what it is told to do."""
    done, servers = threading.Event(), []

    def make(then: str) -> Engine:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/version":
                    self.send_response(200)
                    self.send_header("Content-Length", "22")
                    self.end_headers()
                    self.wfile.write(b'{"ApiVersion": "1.44"}')
                    return
                assert self.path == "/v1.44/events?filters=%7B%22type%22%3A%5B%22node%22%5D%7D"
                self.send_response(503 if then == "refuse" else 200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                line = '{"message": "no leader"}' if then == "refuse" else LINE
                self.wfile.write(f"{len(line):x}\r\n{line}\r\n".encode())
                if then in ("end", "refuse"):
                    self.wfile.write(b"0\r\n\r\n")
                elif then == "break":
                    self.wfile.write(b"20\r\n{")
                    self.close_connection = True
                else:
                    done.wait(10)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return Engine(f"tcp://127.0.0.1:{server.server_port}")

    yield make
    done.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("then", ["end", "break", "silence"])
def test_events_end_with_the_connection_or_with_silence(engine: Callable[[str], Engine], then: str) -> None:
    begun = time.monotonic()
    assert list(engine(then).node_events(2)) == [LABELLED]
    assert time.monotonic() - begun < 8


def test_an_engine_that_refuses_events_is_an_error_with_its_own_words(
    engine: Callable[[str], Engine],
) -> None:
    with pytest.raises(RefusedError, match="refused to tell node events: no leader"):
        engine("refuse").node_events(1)
