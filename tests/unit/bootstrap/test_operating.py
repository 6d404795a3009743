"""The operator's loop: joins, broken connections, engines that do not answer, and its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bootstrap.balancer import NodeEvent
from bootstrap.operating import GATHER, Listener, Operator
from bootstrap.swarm import Engine, EngineError, RefusedError
from bootstrap.view import Node
from chalicelib.protocol import Arguments, Rebalance, Result, Task
from tests.unit.bootstrap.fake_swarm import FakeSwarm

READY = NodeEvent("update", "n02", "host-02", {"state": ("unknown", "ready")})
LABELLED = NodeEvent("update", "n02", "host-02")


@dataclass
class Script:
    """Ears that hear what was written down, one batch at a time; an exhausted script has ended."""

    swarm: FakeSwarm
    batches: list[tuple[NodeEvent, ...]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return not self.batches

    @ended.setter
    def ended(self, value: bool) -> None:
        raise AssertionError(value)

    def heard(self, patience: float) -> tuple[NodeEvent, ...]:
        batch = self.batches.pop(0)
        if not batch:
            self.swarm.time += min(patience, 3600.0)
        return batch


class Stage(FakeSwarm):
    """A swarm, a rebalance that only counts, and ears whose scripts are laid out before."""

    def __init__(self, *scripts: list[tuple[NodeEvent, ...]]) -> None:
        super().__init__()
        self.scripts = [Script(self, list(script)) for script in scripts]
        self.runs: list[float] = []
        self.waits: list[float] = []
        self.broken: list[str] = []  # errors of the next looks at the nodes
        arguments = Arguments(rebalance=Rebalance(settle=5.0, cooldown=60.0))
        self.operator = Operator(self, arguments, self.clock, self.rebalance, self.ears)

    def nodes(self) -> tuple[Node, ...]:
        if getattr(self, "broken", None):
            raise EngineError(self.broken.pop(0))
        return super().nodes()

    def ears(self, engine: Engine) -> Script:
        assert engine is self
        if not self.scripts:
            raise EngineError("the engine did not tell node events")
        return self.scripts.pop(0)

    def rebalance(self, engine: Engine, arguments: Arguments, _: object) -> Result:
        assert engine is self
        assert arguments.rebalance == Rebalance(settle=5.0, cooldown=60.0)
        self.runs.append(self.time)
        return Result(Task.REBALANCE, ok=True, wait=self.waits.pop(0) if self.waits else 0.0)

    def play(self, turns: int) -> None:
        for _ in range(turns):
            self.operator.turn()


def test_it_rebalances_once_when_it_starts_and_once_for_a_node_that_joined(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage = Stage([(READY, LABELLED), (LABELLED,), ()])
    stage.play(2)
    assert len(stage.runs) == 1
    stage.play(2)
    assert len(stage.runs) == 2
    stage.play(1)
    assert len(stage.runs) == 2
    assert capsys.readouterr().err.splitlines() == [
        "operator: decision: rebalance, as just started: nodes may have joined before",
        "operator: result: done: nothing was to be moved",
        "operator: event: node host-02 (n02) update: state unknown -> ready",
        "operator: event: node host-02 (n02) update: nothing that counts",
        "operator: decision: rebalance, as host-02 may have tasks now",
        "operator: result: done: nothing was to be moved",
        "operator: event: node host-02 (n02) update: nothing that counts",
        "operator: decision: do nothing, as no node has become usable",
    ]


def test_a_wait_that_the_rebalance_asks_for_is_kept() -> None:
    stage = Stage([(), (), ()])
    stage.waits = [42.0]
    stage.play(4)
    begun, again = stage.runs
    assert again - begun == pytest.approx(42.0)
    stage.play(1)
    assert len(stage.runs) == 2


def test_a_broken_connection_is_made_again_and_changes_meanwhile_are_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage = Stage([()], [()], [()])
    stage.play(3)
    capsys.readouterr()
    stage.play(2)
    assert len(stage.runs) == 1, "nothing changed while it was away"
    assert capsys.readouterr().err == ""
    stage.add_node()
    stage.play(2)
    assert len(stage.runs) == 2
    assert "decision: rebalance, as host-05 changed while events were missed" in capsys.readouterr().err


def test_an_engine_that_does_not_answer_is_told_once_and_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage = Stage()
    begun = stage.time
    stage.play(10)
    assert capsys.readouterr().err == "operator: the engine did not tell node events; trying again\n"
    assert 120 <= stage.time - begun <= 303
    stage.scripts = [Script(stage, [()])]
    stage.play(2)
    assert len(stage.runs) == 1
    assert "the engine answers again" in capsys.readouterr().err


def test_a_look_that_fails_is_made_up_for() -> None:
    stage = Stage([(READY,), ()])
    stage.play(2)
    stage.broken = ["no leader", "no leader"]
    stage.node_rows["n02"]["Version"]["Index"] += 1
    stage.play(5)
    assert len(stage.runs) == 2


def test_a_rebalance_that_fails_is_run_again() -> None:
    stage = Stage([()])
    refusals = [RefusedError("the engine refused"), RefusedError("the engine refused")]
    good = stage.operator.run

    def run(engine: Engine, arguments: Arguments, _: object) -> Result:
        if refusals:
            raise refusals.pop()
        return good(engine, arguments, stage.clock)

    stage.operator.run = run
    stage.play(4)
    assert (len(refusals), len(stage.runs)) == (0, 1)


def test_a_listener_gathers_what_comes_together_and_says_when_it_ended() -> None:
    def events() -> Iterator[NodeEvent]:
        yield READY
        time.sleep(GATHER / 10)
        yield LABELLED
        time.sleep(GATHER * 1.5)
        yield LABELLED

    listener = Listener(events())
    assert listener.heard(5.0) == (READY, LABELLED)
    assert not listener.ended
    assert listener.heard(0.0) == ()
    assert listener.heard(5.0) == (LABELLED,)
    assert listener.ended
    assert listener.heard(5.0) == ()


LINE = json.dumps({"Action": "update", "Actor": {"ID": "n02", "Attributes": {"name": "host-02"}}}) + "\n"


@pytest.fixture
def engine() -> Iterator[Callable[[str], Engine]]:
    """Engines behind a port: each says one event and then does what it is told to do."""
    done, servers = threading.Event(), []

    def make(then: str) -> Engine:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                assert self.path == "/v1.41/events?filters=%7B%22type%22%3A%5B%22node%22%5D%7D"
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

        server = HTTPServer(("127.0.0.1", 0), Handler)
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
    assert list(engine(then).node_events(0.3)) == [LABELLED]
    assert time.monotonic() - begun < 3


def test_an_engine_that_refuses_events_is_an_error_with_its_own_words(
    engine: Callable[[str], Engine],
) -> None:
    with pytest.raises(RefusedError, match="refused to tell node events: no leader"):
        engine("refuse").node_events(1)


@pytest.mark.parametrize(
    "words", [["--settle", "soon"], ["--cooldown", "-1"], ["--settle", "nan"], ["--twice"]]
)
def test_options_that_cannot_be_are_refused(words: list[str]) -> None:
    done = _operator(*words)
    _, err = done.communicate(timeout=20)
    assert done.returncode == 2
    assert "usage: agent operator" in err
    assert words[-1] in err


def test_it_goes_on_without_an_engine_says_so_once_and_ends_at_once_when_told_to() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = _operator("--engine", f"tcp://127.0.0.1:{port}")
    assert process.stderr
    assert process.stderr.readline() == f"operator: listening to node events at tcp://127.0.0.1:{port}\n"
    assert "did not tell node events within 5 s" in process.stderr.readline()
    time.sleep(1.5)
    assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert time.monotonic() - begun < 1
    assert process.stderr.read() == ""


def test_once_ends_with_an_honest_status_where_there_is_no_engine() -> None:
    process = _operator("--once", "--engine", "tcp://127.0.0.1:9")
    assert "check on this host" in process.communicate(timeout=20)[1]
    assert process.returncode == 69


def _operator(*words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "bootstrap", "operator", *words]
    clean = {key: value for key, value in os.environ.items() if key not in ("SETTLE", "COOLDOWN")}
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=clean)
