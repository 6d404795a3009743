"""The operator's loop: joins, broken connections, engines that do not answer, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

import pytest

from bootstrap.balancer.operator import Operator
from bootstrap.engine.client import Engine, EngineError, RefusedError
from bootstrap.engine.node import Node
from bootstrap.engine.node_event import NodeEvent
from chalicelib.protocol.messages import AgentTask, Arguments, Rebalance, Result
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm

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

    def next_events(self, patience: float) -> tuple[NodeEvent, ...]:
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
        return Result(AgentTask.REBALANCE, ok=True, wait=self.waits.pop(0) if self.waits else 0.0)

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


def test_an_engine_that_does_not_answer_is_logged_once_and_waited_for(
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


def test_a_list_of_nodes_that_fails_is_made_up_for() -> None:
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


@pytest.mark.parametrize(
    "words", [["--settle", "soon"], ["--cooldown", "-1"], ["--settle", "nan"], ["--twice"]]
)
def test_options_that_cannot_be_are_refused(words: list[str]) -> None:
    done = _operator(*words)
    _, err = done.communicate(timeout=60)
    assert done.returncode == 2
    assert "usage: agent operator" in err
    assert words[-1] in err


def test_it_goes_on_without_an_engine_says_so_once_and_ends_at_once_when_told_to() -> None:
    begun = time.monotonic()
    _operator("--help").communicate(timeout=60)
    interpreter = time.monotonic() - begun  # its beginning and its end, on a machine as busy as this
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
    assert process.wait(60) == 0
    assert time.monotonic() - begun < 1 + 3 * interpreter
    assert process.stderr.read() == ""


def test_once_ends_with_an_honest_status_where_there_is_no_engine() -> None:
    process = _operator("--once", "--engine", "tcp://127.0.0.1:9")
    assert "check on this host" in process.communicate(timeout=60)[1]
    assert process.returncode == 69


def _operator(*words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "bootstrap", "operator", *words]
    clean = {key: value for key, value in os.environ.items() if key not in ("SETTLE", "COOLDOWN")}
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=clean)
