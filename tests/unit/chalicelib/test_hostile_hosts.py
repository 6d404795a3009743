"""What one host answers, or one record holds, stops nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.admin.calls import call
from chalicelib.errors import CallError
from chalicelib.events import Answer
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules.retry import IMMEDIATE_ATTEMPTS
from chalicelib.state.lifecycle import MAX_ATTEMPTS, NodeState
from tests.unit.chalicelib.support.fakes import START, WORKER, WORKER_2, Lab, instance
from tests.unit.chalicelib.support.stories import end, state, tick, warn

RESULT = '{"task":"evacuate","ok":true,'
HOSTILE = [
    "[" * 24_000,
    '{"a":' * 4000,
    RESULT + '"wait":1e999}',
    RESULT + '"left_out":Infinity}',
    RESULT + f'"left_out":{"9" * 5000}}}',
    RESULT + f'"nodes":[{{"instance":["{WORKER}"],"node":"abc","fate":"safe"}}]}}',
    RESULT + f'"nodes":[{{"instance":"{WORKER}","node":"A;b","fate":"safe"}}]}}',
    RESULT + '"error":7}',
    RESULT + '"facts":{"nodes":7},"listing":{"parts":0}}',
]


def answers(lab: Lab, manager: str, output: str, error: str = "") -> None:
    """Have a manager print this, whatever it is asked."""
    genuine = lab.hosts.fetch_answer

    def fetch_answer(command: str, host: str) -> Answer:
        answer = genuine(command, host)
        if host != manager or answer.status != "Success":
            return answer
        return replace(answer, output=output, error=error)

    lab.hosts.fetch_answer = fetch_answer  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("output", HOSTILE, ids=lambda text: text[:60])
def test_a_tick_with_a_hostile_answer_goes_on_with_all_others(output: str) -> None:
    lab = Lab(workers=3)
    lab.hosts.takes = 1
    warn(lab)
    hostile = lab.hosts.sent[0].manager
    answers(lab, hostile, output, "what a host\nsays\x1b[31m \u202e")
    lab.nodes.records["blue", WORKER_2] = replace(
        lab.node(WORKER_2), state=NodeState.LEAVING, since=lab.clock.time, due=lab.clock.time
    )
    reasons = tick(lab)
    assert any(f"Success: {WORKER} evacuating: Success: says [31m" in reason for reason in reasons)
    for _ in range(4):
        reasons += tick(lab)
    assert all(reason.isprintable() for reason in reasons)
    assert (state(lab), state(lab, WORKER_2)) == (NodeState.EVACUATED, NodeState.GONE)
    assert {node.node for node in lab.nodes.list_all("blue")} <= {"", "node00a", "node00b"}


@pytest.mark.parametrize("wrong", [{"node": "A;b"}, {"node": "x" * 65}, {"address": ""}, {"address": "x"}])
def test_a_record_that_no_agent_would_take_is_left_out_and_given_up(
    caplog: pytest.LogCaptureFixture, wrong: dict[str, str]
) -> None:
    lab = Lab(workers=3)
    lab.nodes.records["blue", WORKER] = replace(lab.node(), **wrong)  # type: ignore[arg-type]
    lab.ec2.instances = {
        name: replace(one, address=wrong.get("address", one.address)) if name == WORKER else one
        for name, one in lab.ec2.instances.items()
    }
    warn(lab)
    warn(lab, WORKER_2)
    targets = [target.instance for sent in lab.hosts.sent for target in sent.arguments.targets]
    assert targets == [WORKER_2]
    assert f"{WORKER} is left out: its recorded {next(iter(wrong))}" in caplog.text
    end(lab, lab.hosts.sent[0])
    assert state(lab, WORKER_2) is NodeState.EVACUATED
    for _ in range(MAX_ATTEMPTS[AgentTask.EVACUATE] * 6):
        tick(lab)
    assert lab.node().is_given_up
    assert IMMEDIATE_ATTEMPTS < lab.node().attempts <= MAX_ATTEMPTS[AgentTask.EVACUATE]
    letter = lab.incidents.get("blue", f"evacuate#{WORKER}#{START:.0f}")
    assert letter is not None
    assert "its recorded" in letter.what


def test_a_person_is_told_which_record_no_agent_would_take() -> None:
    lab = Lab()
    lab.nodes.records["blue", WORKER] = replace(lab.node(), node="A;b")
    with pytest.raises(CallError, match="recorded node id must be a Swarm node id, not 'A;b'"):
        call("promote", {"cluster": "blue", "instance": WORKER}, lab.world())


def test_a_hundred_long_details_are_no_longer_than_a_record_can_hold() -> None:
    lab = Lab(workers=2)
    warn(lab)
    rows = ",".join(
        f'{{"instance":"{instance(n)}","node":"","fate":"unfinished","detail":"{"x" * 100}"}}'
        for n in range(99)
    )
    answers(lab, lab.hosts.sent[0].manager, RESULT + f'"nodes":[{rows}]}}')
    end(lab, lab.hosts.sent[0])
    assert len(lab.node().reason) < 4500
