"""The simulated agents are as honest as real ones."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.storm import cloud, plan
from bench.storm.cloud import Simulated, Work
from chalicelib.adapters.run_command import Agent, script
from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, Target
from tests.lab.endpoint.run_command.execution import Script

HOST = plan.hosts(1, 0.0)[0]
TARGETS = tuple(Target(f"i-{n:017x}", f"10.0.0.{n + 1}") for n in range(100))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEAST", "MOST", "EACH"):
        monkeypatch.setattr(cloud, name, 0.0)


def simulated(folder: Path, deadline: float, noted: list[Work], seconds: float = 60) -> Simulated:
    """Make an agent with a hundred nodes to evacuate."""
    text = script(Agent("b", "k", "s"), "https://x", AgentTask.EVACUATE, Arguments(TARGETS, deadline))
    return Simulated(HOST, Script("c", text, "/", seconds, folder), noted.append)


def test_it_reports_every_node_of_a_full_command(tmp_path: Path) -> None:
    noted: list[Work] = []
    assert simulated(tmp_path, time.time() + 60, noted).wait().code == 0
    result = decode_result((tmp_path / "stdout").read_text())
    assert [report.fate for report in result.nodes] == [Fate.SAFE] * 100
    assert noted[0].targets == tuple(one.instance for one in TARGETS)


def test_after_the_deadline_it_says_unfinished(tmp_path: Path) -> None:
    simulated(tmp_path, time.time() - 1, []).wait()
    result = decode_result((tmp_path / "stdout").read_text())
    assert (result.ok, {report.fate for report in result.nodes}) == (False, {Fate.UNFINISHED})


def test_one_that_is_cancelled_reports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "LEAST", 30.0)
    monkeypatch.setattr(cloud, "MOST", 30.0)
    noted: list[Work] = []
    agent = simulated(tmp_path, time.time() + 60, noted)
    agent.kill("cancelled")
    assert agent.wait().cancelled
    assert noted == []
