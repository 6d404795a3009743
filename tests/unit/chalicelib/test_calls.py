"""Manual calls: a bad one is one clear line, a dry one changes nothing, a good one goes the usual way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.calls import CALLS, call
from chalicelib.protocol import Task
from chalicelib.states import NodeState
from tests.unit.chalicelib.fakes import MANAGERS, WORKER, Lab, instance
from tests.unit.chalicelib.stories import end, state, tick, warn

BLUE = {"cluster": "blue"}
NODE = {"cluster": "blue", "instance": WORKER}


@pytest.mark.parametrize("which", [which for which in CALLS if which != "status"])
@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (["blue"], "the payload must be a JSON object, not \"['blue']\""),
        ({}, "cluster is missing; known fields are "),
        ({"cluster": 5}, "cluster must be a cluster's name (letters, digits, '.', '_', '-'), not '5'"),
        ({"cluster": "a b"}, "cluster must be a cluster's name"),
        ({"cluster": "blue", "colour": 1}, "unknown field 'colour'; known are cluster, "),
    ],
)
def test_a_bad_payload_is_one_clear_line(which: str, payload: object, error: str) -> None:
    lab = Lab()
    answer = call(which, payload, lab.world())
    assert list(answer) == ["error"]
    assert answer["error"].startswith(error)
    assert "\n" not in answer["error"]


@pytest.mark.parametrize(
    ("which", "payload", "error"),
    [
        ("pause", {"cluster": "green"}, "there is no cluster 'green'; known are blue"),
        ("pause", {**BLUE, "dry_run": "yes"}, "dry_run must be true or false, not 'yes'"),
        ("status", {"cluster": "green"}, "there is no cluster 'green'; known are blue"),
        (
            "evacuate",
            BLUE,
            "instance is missing; known fields are cluster, dry_run, give_back,",
        ),
        ("evacuate", {**BLUE, "instance": "i-x"}, "instance must be an EC2 instance id such as"),
        ("evacuate", {**BLUE, "instance": instance(999)}, f"blue has no instance {instance(999)}: status"),
        (
            "evacuate",
            {**NODE, "seconds": 0},
            "seconds must be a number of seconds between 0 and 43200,",
        ),
        ("evacuate", {**NODE, "seconds": True}, "seconds must be a number of seconds"),
        ("configure", BLUE, "there is nothing to configure: give rebalance, drills or notify"),
        (
            "configure",
            {**BLUE, "rebalance": "maybe"},
            "rebalance must be one of ignore, note, evacuate,",
        ),
        ("configure", {**BLUE, "drills": 1}, "drills must be true or false, not '1'"),
        ("init", NODE, f"{WORKER} is no manager of blue: status shows which are"),
        ("recover", {**NODE}, "confirm is missing; known fields are cluster, confirm, dry_run, instance"),
        (
            "recover",
            {**NODE, "confirm": "yes"},
            "confirm must be the cluster's name, 'blue': recover",
        ),
        ("rotate_tokens", {**BLUE, "instance": WORKER}, f"{WORKER} is no manager of blue"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(which: str, payload: object, error: str) -> None:
    lab = Lab()
    answer = call(which, payload, lab.world())
    assert list(answer) == ["error"]
    assert answer["error"].startswith(error)
    assert lab.hosts.sent == []


DRY: list[tuple[str, dict[str, Any], list[str]]] = [
    ("evacuate", NODE, ["Move", "Dispatch"]),
    ("pause", BLUE, ["SetConduct"]),
    ("resume", BLUE, []),
    ("configure", {**BLUE, "rebalance": "evacuate"}, ["SetConduct"]),
    ("redrive", BLUE, []),
    ("init", {**BLUE, "instance": MANAGERS[0]}, ["Run"]),
    ("rotate_tokens", BLUE, ["Run"]),
    ("recover", {**BLUE, "instance": MANAGERS[0], "confirm": "blue"}, ["Run"]),
]


@pytest.mark.parametrize(("which", "payload", "actions"), DRY)
def test_a_dry_run_answers_the_plan_and_does_nothing(
    which: str, payload: dict[str, Any], actions: list[str]
) -> None:
    lab = Lab()
    before = (dict(lab.store.records), dict(lab.store.conducts), dict(lab.store.known_errands))
    answer = call(which, payload | {"dry_run": True}, lab.world())
    assert answer["dry_run"] is True
    assert answer["reason"]
    assert [action["action"] for action in answer["plan"]] == actions
    assert json.dumps(answer)
    assert before == (lab.store.records, lab.store.conducts, lab.store.known_errands)
    assert lab.hosts.sent == []


def test_a_node_is_evacuated_by_hand_and_given_back() -> None:
    lab = Lab()
    answer = call("evacuate", {**NODE, "seconds": 300, "give_back": 60}, lab.world())
    assert answer == {"done": ["evacuated by hand"]}
    assert lab.hosts.sent[0].arguments.deadline == lab.hosts.sent[0].at + 300
    end(lab, lab.hosts.sent[0])
    assert state(lab) is NodeState.EVACUATED
    for _ in range(7):
        tick(lab)
    assert [sent.task for sent in lab.hosts.sent] == [Task.EVACUATE, Task.GIVE_BACK]
    assert state(lab) is NodeState.IN_SERVICE


def test_a_paused_cluster_records_and_sends_nothing_and_resume_catches_up_at_once() -> None:
    lab = Lab()
    assert call("pause", BLUE, lab.world()) == {"done": ["set: paused=True"]}
    assert warn(lab)[0].endswith("(paused: 1 actions held back)")
    tick(lab)
    assert (state(lab), lab.hosts.sent) == (NodeState.EVACUATING, [])
    call("resume", BLUE, lab.world())
    assert [sent.task for sent in lab.hosts.sent] == [Task.EVACUATE]


def test_a_task_on_a_manager_is_sent_and_its_end_is_waited_for() -> None:
    lab = Lab()
    answer = call("init", {**BLUE, "instance": MANAGERS[1]}, lab.world())
    (sent,) = lab.hosts.sent
    assert (sent.manager, sent.task) == (MANAGERS[1], Task.INIT)
    assert (answer["command"], answer["status"]) == ("command-1", "Success")
    assert answer["done"] == [f"init on {MANAGERS[1]}", f"init: Success: {MANAGERS[1]} joined"]


def test_a_task_that_cannot_be_sent_says_so() -> None:
    lab = Lab()
    lab.hosts.unreachable = {MANAGERS[0]}
    answer = call("init", {**BLUE, "instance": MANAGERS[0]}, lab.world())
    assert answer["status"] == f"not sent: Run Command cannot reach {MANAGERS[0]}"


def test_nothing_is_ordered_from_a_paused_cluster() -> None:
    lab = Lab()
    call("pause", BLUE, lab.world())
    assert call("rotate_tokens", BLUE, lab.world()) == {
        "error": "blue is paused, nothing is sent: resume it first"
    }


def test_status_needs_no_payload() -> None:
    lab = Lab()
    assert set(call("status", None, lab.world())["clusters"]) == {"blue"}
    assert json.dumps(call("status", {}, lab.world()))
