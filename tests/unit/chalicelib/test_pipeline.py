"""Whole stories: from the event to the record, in memory."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from chalicelib.cluster import InstanceState, Node
from chalicelib.errors import ThrottledError
from chalicelib.events import (
    UNKNOWN,
    Answer,
    InstanceStateChanged,
    InvocationEnded,
    SpotInterruptionWarning,
    Tick,
)
from chalicelib.pipeline import handle
from chalicelib.protocol import Fate, Task
from chalicelib.states import NodeState
from tests.unit.chalicelib.fakes import MANAGERS, START, WORKER, WORKER_2, Lab, RushingClock, instance
from tests.unit.chalicelib.samples import sample
from tests.unit.chalicelib.stories import change, end, state, tick, warn

M1, M2, M3 = MANAGERS


def test_a_node_is_evacuated_and_removed_by_events_alone() -> None:
    lab = Lab()
    assert warn(lab) == ["EC2 will terminate it, 120 s are left"]
    assert state(lab) is NodeState.EVACUATING
    assert end(lab, lab.hosts.sent[0]) == [f"Success: {WORKER} evacuated: safe"]
    assert state(lab) is NodeState.EVACUATED
    change(lab, "shutting-down")
    assert state(lab) is NodeState.EVACUATED
    change(lab, "terminated")
    assert state(lab) is NodeState.LEAVING
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.GONE
    assert [sent.task for sent in lab.hosts.sent] == [Task.EVACUATE, Task.LEAVE]
    assert lab.hosts.sent[1].arguments.subjects[0].node == "node00a"


def test_everything_twice_and_late_changes_nothing_more() -> None:
    lab = Lab()
    warn(lab)
    assert warn(lab) == ["already evacuating"]
    end(lab, lab.hosts.sent[0])
    first = lab.node()
    assert end(lab, lab.hosts.sent[0]) == ["command-1: nothing waits for this evacuate any more, or yet"]
    warn(lab)
    assert lab.node() == first
    change(lab, "terminated")
    change(lab, "terminated")
    end(lab, lab.hosts.sent[1])
    gone = lab.node()
    change(lab, "shutting-down")
    change(lab, "stopped")
    warn(lab)
    end(lab, lab.hosts.sent[0])
    assert lab.node() == gone
    assert len(lab.hosts.sent) == 2


def test_a_foreign_instance_changes_nothing_and_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    lab = Lab()
    assert warn(lab, instance(999)) == []
    assert change(lab, "terminated", instance(998)) == []
    assert lab.fleet.asked == 1
    assert lab.hosts.sent == []
    assert '"ForeignInstances":[1.0]' in capsys.readouterr().out


def test_the_end_of_somebody_elses_command_is_dropped_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    lab = Lab()
    payload = sample("ssm_invocation_success", START)
    assert handle(InvocationEnded, payload, lab.world()) == []
    assert '"ForeignCommands":[1.0]' in capsys.readouterr().out


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
def test_an_answer_that_run_command_does_not_give_yet_is_waited_for_or_left_to_the_tick(
    capsys: pytest.CaptureFixture[str], trouble: Answer | ThrottledError, times: int, after: NodeState
) -> None:
    lab = Lab()
    warn(lab)
    answer, left = lab.hosts.answer, [times]

    def late(command: str, manager: str) -> Answer:
        left[0] -= 1
        if left[0] < 0:
            return answer(command, manager)
        if isinstance(trouble, ThrottledError):
            raise trouble
        return trouble

    lab.hosts.answer = late  # type: ignore[method-assign]
    end(lab, lab.hosts.sent[0])
    assert state(lab) is after
    assert "ForeignCommands" not in capsys.readouterr().out


def test_run_command_is_not_asked_about_hosts_that_are_not_ours() -> None:
    lab = Lab()
    lab.hosts.answer = lambda command, manager: 1 / 0  # type: ignore[method-assign, assignment, return-value]  # noqa: ARG005
    assert handle(InvocationEnded, sample("ssm_invocation_success", START), lab.world()) == []


def test_an_instance_that_was_spared_joins_and_can_be_warned_again() -> None:
    lab = Lab()
    warn(lab)
    end(lab, lab.hosts.sent[0])
    lab.clock.sleep(1000)
    tick(lab)
    assert (state(lab), lab.node().reason) == (NodeState.JOINING, "the instance was spared")
    warn(lab, time=lab.clock.time)
    assert state(lab) is NodeState.EVACUATING


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
    assert (lab.store.records, lab.fleet.asked) == ({}, 0)


def test_hibernation_leaves_no_more_time_than_replacements_need() -> None:
    lab = Lab()
    warn(lab, action="hibernate")
    assert lab.hosts.sent[0].arguments.deadline == START + 30


def test_a_failed_command_goes_to_the_next_manager_inside_the_same_handler() -> None:
    lab = Lab()
    lab.hosts.broken = {M1}
    warn(lab)
    reasons = end(lab, lab.hosts.sent[0])
    assert reasons == [f"Failed: {WORKER} evacuating: Failed: swarmkeeper: the engine does not answer"]
    assert [sent.manager for sent in lab.hosts.sent] == [M1, M2]
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.EVACUATED


def test_a_node_that_died_without_a_warning_is_removed() -> None:
    lab = Lab()
    handle(Tick, {}, lab.world())
    change(lab, "terminated")
    end(lab, lab.hosts.sent[0])
    assert (state(lab), lab.hosts.sent[0].task) == (NodeState.GONE, Task.LEAVE)


def test_a_node_that_dies_during_its_evacuation_is_removed_and_the_late_result_is_passed_over() -> None:
    lab = Lab()
    warn(lab)
    change(lab, "terminated")
    end(lab, lab.hosts.sent[0])
    assert state(lab) is NodeState.LEAVING
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.GONE


def test_ticks_alone_finish_everything_when_no_event_comes() -> None:
    lab = Lab()
    tick(lab)
    lab.fleet.turn(WORKER, InstanceState.SHUTTING_DOWN)
    tick(lab)
    assert state(lab) is NodeState.EVACUATING
    tick(lab)
    assert state(lab) is NodeState.EVACUATED
    lab.fleet.turn(WORKER, InstanceState.TERMINATED)
    tick(lab)
    tick(lab)
    assert state(lab) is NodeState.GONE
    del lab.fleet.instances[WORKER]
    gone = lab.node()
    tick(lab)
    assert lab.node() == gone


def test_a_stopped_instance_that_is_started_again_is_warned_again() -> None:
    lab = Lab()
    warn(lab, action="stop")
    change(lab, "stopped")
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.GONE
    lab.clock.sleep(600)
    running = replace(lab.fleet.instances[WORKER], launched=lab.clock.time)
    lab.fleet.instances[WORKER] = running
    tick(lab)
    assert state(lab) is NodeState.JOINING
    end(lab, lab.hosts.sent[-1])
    assert state(lab) is NodeState.ACTIVATING
    end(lab, lab.hosts.sent[-1])
    assert state(lab) is NodeState.IN_SERVICE
    warn(lab)
    assert state(lab) is NodeState.IN_SERVICE, "the old warning came once more"
    warn(lab, time=lab.clock.time)
    assert state(lab) is NodeState.EVACUATING


def test_a_slow_evacuation_is_sent_again_elsewhere_and_ends_once() -> None:
    lab = Lab()
    lab.hosts.takes = 100
    warn(lab)
    assert tick(lab) == [
        "1 overdue: 0 to send, 1 commands to ask for",
        "command-1 still runs: 1 of 1 nodes are sent again, the others wait",
    ]
    assert [sent.manager for sent in lab.hosts.sent] == [M1, M2]
    end(lab, lab.hosts.sent[0])
    assert state(lab) is NodeState.EVACUATED
    done = lab.node()
    end(lab, lab.hosts.sent[1])
    assert lab.node() == done


def test_a_removal_that_the_quorum_forbids_is_asked_for_ever_more_rarely() -> None:
    lab = Lab()
    lab.hosts.fates = {M1: Fate.KEPT}
    tick(lab)
    lab.fleet.turn(M1, InstanceState.TERMINATED)
    for _ in range(30):
        tick(lab)
    assert state(lab, M1) is NodeState.LEAVING
    assert 5 <= len(lab.hosts.sent) <= 10


def test_a_vanished_manager_is_no_longer_asked() -> None:
    lab = Lab()
    tick(lab)
    lab.fleet.turn(M1, InstanceState.TERMINATED)
    tick(lab)
    assert lab.store.managers("blue") == (M2, M3)
    assert {sent.manager for sent in lab.hosts.sent} == {M2}


def test_a_lost_race_is_decided_again() -> None:
    lab = Lab()
    tick(lab)
    move, first = lab.store.move, [True]

    def raced(before: Node, after: Node) -> bool:
        if first.pop() if first else False:
            move(before, before.but(address="10.9.9.9"))
        return move(before, after)

    lab.store.move = raced  # type: ignore[method-assign]
    assert len(warn(lab)) == 2
    assert (state(lab), lab.node().address) == (NodeState.EVACUATING, "10.9.9.9")
    assert len(lab.hosts.sent) == 1


def test_a_race_that_is_always_lost_is_left_to_the_tick() -> None:
    lab = Lab()
    tick(lab)
    lab.store.move = lambda before, after: False  # type: ignore[method-assign]  # noqa: ARG005
    assert len(warn(lab)) == 5


def test_two_clusters_do_not_disturb_each_other_and_a_broken_one_does_not_stop_the_tick() -> None:
    lab = Lab()
    green = instance(77)
    lab.fleet.instances[green] = replace(lab.fleet.instances[WORKER], cluster="green", instance=green)
    tick(lab)
    warn(lab, green)
    assert lab.hosts.sent == [], "green has no manager"
    warn(lab)
    assert [sent.cluster for sent in lab.hosts.sent] == ["blue"]
    opened = lab.store.open

    def broken(cluster: str, until: float) -> tuple[Node, ...]:
        if cluster == "green":
            raise ZeroDivisionError
        return opened(cluster, until)

    lab.store.open = broken  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup, match="the tick failed in part"):
        tick(lab)
    assert state(lab) is NodeState.EVACUATED


def test_a_record_that_cannot_be_helped_does_not_stop_the_others_of_its_cluster() -> None:
    lab = Lab(workers=2)
    tick(lab)
    lab.hosts.takes = 1_000_000
    for name in (WORKER, WORKER_2):
        warn(lab, name)
    lab.fleet.turn(WORKER, InstanceState.TERMINATED)
    moved = lab.store.move

    def broken(before: Node, after: Node) -> bool:
        if before.instance == WORKER:
            raise ZeroDivisionError
        return moved(before, after)

    lab.store.move = broken  # type: ignore[method-assign]
    lab.hosts.takes = 0
    for _ in range(3):
        with pytest.raises(ExceptionGroup, match="the tick failed in part"):
            tick(lab)
    assert state(lab) is NodeState.EVACUATING
    assert state(lab, WORKER_2) is NodeState.EVACUATED


def test_a_tick_without_ec2_does_what_is_overdue_all_the_same_and_fails() -> None:
    lab = Lab()
    tick(lab)
    warn(lab)
    lab.fleet.census = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(ExceptionGroup, match="the tick failed in part"):
        tick(lab)
    assert state(lab) is NodeState.EVACUATED


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
    subjects = [subject.instance for sent in lab.hosts.sent for subject in sent.arguments.subjects]
    assert sorted(subjects) == sorted(names), "each exactly once"
    assert len(lab.hosts.sent) <= 10
    assert lab.fleet.asked <= 3


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
        ("EC2 will terminate it, 120 s are left", "blue", WORKER, ["Move", "Dispatch"]),
        ("already evacuating", "blue", WORKER, []),
    ]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    interruptions = [metric for metric in metrics if "Interruptions" in metric]
    assert [(metric["cluster"], metric["instance"]) for metric in interruptions] == [("blue", WORKER)]
    assert interruptions[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["cluster"]]
