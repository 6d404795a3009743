"""Events on their way to the records: unmanaged, malformed, ahead of answers, raced, by the dozen, logged."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.errors import ThrottledError
from chalicelib.events import (
    UNKNOWN,
    Answer,
    InstanceStateChanged,
    InvocationEnded,
    SpotInterruptionWarning,
    Tick,
)
from chalicelib.routing import handle
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, Lab, RushingClock, instance
from tests.unit.chalicelib.support.samples import sample
from tests.unit.chalicelib.support.stories import change, end, state, tick, warn

M1, M2, M3 = MANAGERS


def test_an_unmanaged_instance_changes_nothing_and_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    lab = Lab()
    assert warn(lab, instance(999)) == []
    assert change(lab, "terminated", instance(998)) == []
    assert lab.ec2.asked == 1
    assert lab.hosts.sent == []
    assert '"ForeignInstances":[1.0]' in capsys.readouterr().out


def test_the_end_of_somebody_elses_command_is_dropped_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    lab = Lab()
    payload = sample("ssm_invocation_success", START)
    assert handle(InvocationEnded, payload, lab.world()) == []
    assert '"ForeignCommands":[1.0]' in capsys.readouterr().out


@pytest.mark.parametrize("ahead", [-20.0, 0.0, 30.0, 600.0, 1e6])
def test_a_warning_of_a_clock_that_is_ahead_has_at_most_its_whole_notice(ahead: float) -> None:
    lab = Lab()
    warn(lab, time=START + ahead)
    assert lab.node(WORKER).deadline == START + 120 + min(ahead, 0)
    assert lab.hosts.sent[0].arguments.deadline - lab.hosts.sent[0].arguments.sent <= 120
    end(lab, lab.hosts.sent[0])
    assert state(lab) is NodeState.EVACUATED
    lab.clock.sleep(60)
    change(lab, "stopping")
    change(lab, "terminated")
    assert state(lab) is NodeState.LEAVING


def test_an_instance_that_a_wrong_clock_has_started_is_still_warned_of() -> None:
    lab = Lab()
    for now, seconds in (("stopping", 60), ("stopped", 60), ("running", 700)):
        lab.clock.sleep(seconds)
        change(lab, now, time=lab.clock.time + (600 if now == "running" else 0))
    assert (state(lab), lab.node(WORKER).launched) == (NodeState.JOINING, lab.clock.time)
    lab.clock.sleep(5)
    warn(lab, time=lab.clock.time)
    assert state(lab) is NodeState.EVACUATING


@pytest.mark.parametrize(("lagging", "after"), [(4, NodeState.EVACUATED), (40, NodeState.EVACUATING)])
def test_an_answer_that_lags_behind_its_event_is_waited_for_or_left_to_the_tick(
    lagging: int, after: NodeState
) -> None:
    lab = Lab()
    warn(lab)
    lab.hosts.lagging = lagging
    end(lab, lab.hosts.sent[0])
    assert (state(lab), len(lab.hosts.sent)) == (after, 1)
    lab.hosts.lagging = 0
    tick(lab)
    assert state(lab) is NodeState.EVACUATED


@pytest.mark.parametrize("trouble", [Answer(UNKNOWN), ThrottledError("Rate exceeded")])
@pytest.mark.parametrize(("times", "after"), [(3, NodeState.EVACUATED), (40, NodeState.EVACUATING)])
def test_an_answer_not_there_yet_is_waited_for_or_left_to_the_tick(
    capsys: pytest.CaptureFixture[str], trouble: Answer | ThrottledError, times: int, after: NodeState
) -> None:
    lab = Lab()
    warn(lab)
    answer, left = lab.hosts.fetch_answer, [times]

    def late(command: str, manager: str) -> Answer:
        left[0] -= 1
        if left[0] < 0:
            return answer(command, manager)
        if isinstance(trouble, ThrottledError):
            raise trouble
        return trouble

    lab.hosts.fetch_answer = late  # type: ignore[method-assign]
    end(lab, lab.hosts.sent[0])
    assert state(lab) is after
    assert "ForeignCommands" not in capsys.readouterr().out


def test_run_command_is_not_asked_about_hosts_that_are_not_ours() -> None:
    lab = Lab()
    lab.hosts.fetch_answer = lambda command, manager: 1 / 0  # type: ignore[method-assign, assignment, return-value]  # noqa: ARG005
    assert handle(InvocationEnded, sample("ssm_invocation_success", START), lab.world()) == []


def test_a_host_of_another_cluster_concludes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The manager that has the command moved to another cluster: neither event nor tick believes it."""
    lab = Lab()
    warn(lab)
    (sent,) = lab.hosts.sent
    lab.nodes.owners[sent.manager] = "green"
    assert end(lab, sent) == []
    assert '"ForeignCommands":[1.0]' in capsys.readouterr().out
    assert state(lab) is NodeState.EVACUATING
    reasons = tick(lab)
    assert (
        f"Failed: {WORKER} evacuating: {sent.manager} belongs to green now: its answer does not count"
        in reasons
    )
    assert lab.hosts.sent[-1].manager != sent.manager
    end(lab, lab.hosts.sent[-1])
    assert state(lab) is NodeState.EVACUATED


@pytest.mark.parametrize("first", [True, False])
def test_the_first_good_end_concludes_an_evacuation_that_was_sent_twice(*, first: bool) -> None:
    lab = Lab()
    lab.hosts.takes = 80
    warn(lab)
    tick(lab)
    one, other = lab.hosts.sent
    assert (one.manager != other.manager, lab.node().command) == (True, other.id)
    end(lab, one if first else other)
    assert state(lab) is NodeState.EVACUATED
    known = lab.node()
    assert end(lab, other if first else one) != []
    assert lab.node() == known


@pytest.mark.parametrize("kind", [SpotInterruptionWarning, InstanceStateChanged, InvocationEnded])
def test_a_malformed_event_is_one_error_line_and_a_count(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], kind: type[SpotInterruptionWarning]
) -> None:
    lab = Lab(settled=False)
    assert handle(kind, {"source": "nonsense"}, lab.world()) == []
    wanted = kind.PATTERN["source"][0]
    text = f"source must be {wanted!r}, not 'nonsense': nothing was changed; look at what sent the event"
    assert [(record.levelname, record.message) for record in caplog.records] == [("ERROR", text)]
    assert '"MalformedEvents":[1.0]' in capsys.readouterr().out
    assert (lab.nodes.records, lab.ec2.asked) == ({}, 0)


def test_a_failed_command_goes_to_the_next_manager_inside_the_same_handler() -> None:
    lab = Lab()
    lab.hosts.broken = {M1}
    warn(lab)
    reasons = end(lab, lab.hosts.sent[0])
    assert reasons == [f"Failed: {WORKER} evacuating: Failed: swarmkeeper: the engine does not answer"]
    assert [sent.manager for sent in lab.hosts.sent] == [M1, M2]
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.EVACUATED


def test_a_lost_race_is_decided_again() -> None:
    lab = Lab()
    tick(lab)
    move, first = lab.nodes.replace, [True]

    def raced(before: Node, after: Node) -> bool:
        if first.pop() if first else False:
            move(before, before.revise(address="10.9.9.9"))
        return move(before, after)

    lab.nodes.replace = raced  # type: ignore[method-assign]
    assert len(warn(lab)) == 2
    assert (state(lab), lab.node().address) == (NodeState.EVACUATING, "10.9.9.9")
    assert len(lab.hosts.sent) == 1


def test_a_race_that_is_always_lost_is_left_to_the_tick() -> None:
    lab = Lab()
    tick(lab)
    lab.nodes.replace = lambda before, after: False  # type: ignore[method-assign]  # noqa: ARG005
    assert len(warn(lab)) == 5


def test_fifty_warnings_at_once_are_few_commands_and_none_is_lost() -> None:
    lab = Lab(workers=60, clock=RushingClock())
    lab.hosts.pause = lambda: time.sleep(0.02)
    handle(Tick, {}, lab.world())
    names = [instance(number + 10) for number in range(50)]
    now = lab.clock.now()
    with ThreadPoolExecutor(70) as pool:
        list(pool.map(lambda name: warn(lab, name, now), [*names, *names[:10], *[instance(999)] * 10]))
    nodes = [lab.node(name) for name in names]
    assert all(node.state is NodeState.EVACUATING and node.command for node in nodes)
    targets = [target.instance for sent in lab.hosts.sent for target in sent.arguments.targets]
    assert sorted(targets) == sorted(names), "each exactly once"
    assert len(lab.hosts.sent) <= 10
    assert lab.ec2.asked <= 3


def test_every_plan_is_logged_with_its_reason_cluster_and_instance(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab()
    warn(lab)
    warn(lab)
    plans = [
        vars(record) for record in caplog.records if vars(record).get("event") == "SpotInterruptionWarning"
    ]
    assert [(plan["message"], plan["cluster"], plan["instance"], plan["actions"]) for plan in plans] == [
        ("EC2 will terminate it, 120 s are left", "blue", WORKER, ["ReplaceRecord", "Dispatch"]),
        ("already evacuating", "blue", WORKER, []),
    ]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    interruptions = [metric for metric in metrics if "Interruptions" in metric]
    assert [(metric["cluster"], metric["instance"]) for metric in interruptions] == [("blue", WORKER)]
    assert interruptions[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["cluster"]]
