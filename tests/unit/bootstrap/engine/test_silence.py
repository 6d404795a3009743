"""Engines that do not answer: an agent ends in time, with a clear word, and leaves the work to others."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, EngineError, RefusedError
from bootstrap.engine.connection import ANSWER_TIMEOUT_S
from bootstrap.engine.node import Node
from bootstrap.tasks import evacuate, leave
from chalicelib.protocol.messages import Arguments, Fate, Target
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance

NOTICE = 120.0


@pytest.fixture
def swarm() -> FakeSwarm:
    swarm = FakeSwarm(managers=1, workers=3)
    swarm.add_service("web", 6)
    swarm.settle()
    return swarm


def arguments(now: float) -> Arguments:
    return Arguments((Target(instance(2), "10.0.0.2"),), now + NOTICE)


def test_a_hung_engine_ends_each_task_within_one_call_and_says_what_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a stopped dockerd does: its socket takes connections, and nothing ever comes back."""
    timeout = 1
    monkeypatch.setattr("bootstrap.engine.connection.ANSWER_TIMEOUT_S", timeout)
    path = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as server, ThreadPoolExecutor() as pool:
        server.bind(path)
        server.listen(8)
        began = time.monotonic()
        runs = [
            pool.submit(run, Engine(f"unix://{path}"), arguments(time.time()), Clock())
            for run in (evacuate.run, leave.run)
        ]
        for run in runs:
            with pytest.raises(EngineError, match=r"within 5 s \(ReadTimeout\): check on this host"):
                run.result()
        assert not Engine(f"unix://{path}-none").is_alive()
        assert time.monotonic() - began >= timeout
        assert connections(server) == len(runs)


def connections(server: socket.socket) -> int:
    """Count those that the server was asked for."""
    server.setblocking(False)
    taken = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            taken += 1
    return taken


def silent(swarm: FakeSwarm, since: float, until: float, error: EngineError) -> None:
    """Nodes are not listed for a while, each try taking as long as the engine is given."""
    listed = swarm.nodes

    def nodes() -> tuple[Node, ...]:
        if since <= swarm.time < until:
            swarm.time += ANSWER_TIMEOUT_S
            raise error
        return listed()

    swarm.nodes = nodes  # type: ignore[method-assign]


def test_a_manager_whose_leader_hangs_begins_once_there_is_another(swarm: FakeSwarm) -> None:
    """Until managers have elected another one, no engine of theirs can say who it is."""
    began, known = swarm.time, swarm.node_id

    def node_id() -> str:
        if swarm.time < began + 20:
            swarm.time += ANSWER_TIMEOUT_S
            raise EngineError("the engine did not say what it is within 5 s")
        return known()

    swarm.node_id = node_id  # type: ignore[method-assign]
    result = evacuate.run(swarm, arguments(began), swarm.clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert began + 20 <= swarm.time < began + NOTICE


def test_a_silent_engine_ends_the_evacuation_while_others_can_still_do_it(
    swarm: FakeSwarm,
) -> None:
    began = swarm.time
    silent(swarm, began + 1, began + 1000, EngineError("the engine did not list nodes"))
    swarm.is_alive = lambda: False  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="did not list nodes"):
        evacuate.run(swarm, arguments(began), swarm.clock)
    assert evacuate.ENGINE_SILENCE_TIMEOUT_S < swarm.time - began < 20


@pytest.mark.parametrize(
    "error",
    [EngineError("the engine did not list nodes"), RefusedError("The swarm does not have a leader")],
)
def test_an_election_is_waited_for_as_long_as_the_engine_itself_answers(
    swarm: FakeSwarm, error: EngineError
) -> None:
    began = swarm.time
    silent(swarm, began + 1, began + 30, error)
    result = evacuate.run(swarm, arguments(began), swarm.clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest == {"web": 6}
