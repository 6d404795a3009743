"""Manual calls: a bad one is one clear line, a dry one changes nothing, a good one goes the usual way."""

from __future__ import annotations

import json
from traceback import extract_tb
from typing import Any

import pytest

from chalicelib.admin.calls import CALLS, call
from chalicelib.errors import CallError
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import MANAGERS, WORKER, Lab, a_node, instance
from tests.unit.chalicelib.support.stories import end, state, tick, warn

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
        ({"cluster": "blue", "x" * 9000: 1}, f"unknown field '{'x' * 100}'; known are cluster, "),
    ],
)
def test_a_bad_payload_is_one_clear_line(which: str, payload: object, error: str) -> None:
    with pytest.raises(CallError) as raised:
        call(which, payload, Lab().world())
    assert str(raised.value).startswith(error)
    assert "\n" not in str(raised.value)


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
        (
            "configure",
            BLUE,
            "there is nothing to configure: give some of cooldown, description, drills, notify, out_share, r",
        ),
        (
            "configure",
            {**BLUE, "recommendations": "maybe"},
            "recommendations must be one of ignore, note, evacuate,",
        ),
        ("configure", {**BLUE, "rebalance": "note"}, "rebalance must be true or false, not 'note'"),
        ("configure", {**BLUE, "settle": -1}, "settle must be a number of seconds from 0 to 600, not '-1'"),
        ("configure", {**BLUE, "settle": 1800}, "settle must be a number of seconds from 0 to 600"),
        ("configure", {**BLUE, "cooldown": False}, "cooldown must be a number of seconds"),
        ("configure", {**BLUE, "description": "blue.yaml"}, "description must be the SHA-256 of a publ"),
        ("configure", {**BLUE, "drills": 1}, "drills must be true or false, not '1'"),
        ("init", NODE, f"{WORKER} is no manager of blue: status shows which are"),
        ("recover", {**NODE}, "confirm is missing; known fields are cluster, confirm, dry_run, instance"),
        (
            "recover",
            {**NODE, "confirm": "yes"},
            "confirm must be the cluster's name, 'blue': recover",
        ),
        (
            "rotate_tokens",
            {**BLUE, "instance": WORKER},
            "unknown field 'instance'; known are cluster, dry_run",
        ),
        ("give_back", BLUE, "instance is missing; known fields are cluster, dry_run, instance"),
        ("give_back", NODE, f"{WORKER} is not given back: it is in-service, not evacuated"),
        ("give_back", {**NODE, "dry_run": True}, f"{WORKER} is not given back: it is in-service"),
        ("promote", BLUE, "instance is missing; known fields are cluster, dry_run, instance"),
        ("demote", {**BLUE, "instance": instance(999)}, f"blue has no instance {instance(999)}: status"),
        (
            "rebalance",
            {**BLUE, "services": "web"},
            "services must be a list of 1 to 50 names or ids of services",
        ),
        (
            "rebalance",
            {**BLUE, "services": []},
            "services must be a list of 1 to 50 names or ids of services",
        ),
        ("rebalance", {**BLUE, "services": ["a b"]}, "services must be a list of 1 to 50 names or ids"),
        ("rebalance", {**BLUE, "mode": "slow"}, "mode must be one of surge, rolling, not 'slow'"),
        ("rebalance", {**BLUE, "max_moves": 0}, "max_moves must be a whole number from 1 to 100000, not '0'"),
        ("rebalance", {**BLUE, "dry_run": 1}, "dry_run must be true or false, not '1'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(which: str, payload: object, error: str) -> None:
    lab = Lab()
    with pytest.raises(CallError) as raised:
        call(which, payload, lab.world())
    assert str(raised.value).startswith(error)
    assert lab.hosts.sent == []
    assert lab.jobs.records == {}


def test_a_bad_call_has_no_traceback_and_a_failure_of_ours_has_one() -> None:
    lab = Lab()
    with pytest.raises(CallError) as bad:
        call("evacuate", BLUE, lab.world())
    assert extract_tb(bad.tb) == [], "as Lambda's runtime extracts it"
    lab.settings.get = None  # type: ignore[method-assign, assignment]
    with pytest.raises(TypeError) as ours:
        call("pause", BLUE, lab.world())
    assert extract_tb(ours.tb)[-1].name == "read"


DRY: list[tuple[str, dict[str, Any], list[str]]] = [
    ("evacuate", NODE, ["ReplaceRecord", "Dispatch"]),
    ("pause", BLUE, ["UpdateSettings"]),
    ("resume", BLUE, []),
    ("configure", {**BLUE, "recommendations": "evacuate", "rebalance": False}, ["UpdateSettings"]),
    ("redrive", BLUE, []),
    ("init", {**BLUE, "instance": MANAGERS[0]}, ["ReplaceJob", "Send"]),
    ("rotate_tokens", BLUE, ["ReplaceJob", "Send"]),
    ("promote", NODE, ["ReplaceJob", "Send"]),
    ("demote", NODE, ["ReplaceJob", "Send"]),
    ("recover", {**BLUE, "instance": MANAGERS[0], "confirm": "blue"}, ["ReplaceJob", "Send"]),
]


@pytest.mark.parametrize(("which", "payload", "actions"), DRY)
def test_a_dry_run_answers_the_plan_and_does_nothing(
    which: str, payload: dict[str, Any], actions: list[str]
) -> None:
    lab = Lab()
    before = (dict(lab.nodes.records), dict(lab.settings.records), dict(lab.jobs.records))
    answer = call(which, payload | {"dry_run": True}, lab.world())
    assert answer["dry_run"] is True
    assert answer["reason"]
    assert [action["action"] for action in answer["plan"]] == actions
    assert json.dumps(answer)
    assert before == (lab.nodes.records, lab.settings.records, lab.jobs.records)
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
    assert [sent.task for sent in lab.hosts.sent] == [AgentTask.EVACUATE, AgentTask.GIVE_BACK]
    assert state(lab) is NodeState.IN_SERVICE


def test_a_node_that_was_evacuated_for_good_stays_empty_until_somebody_gives_it_back() -> None:
    lab = Lab()
    call("evacuate", NODE, lab.world())
    end(lab, lab.hosts.sent[0])
    for _ in range(60):
        tick(lab)
    assert (state(lab), len(lab.hosts.sent)) == (NodeState.EVACUATED, 1)
    dry = call("give_back", NODE | {"dry_run": True}, lab.world())
    assert [action["action"] for action in dry["plan"]] == ["ReplaceRecord", "Dispatch"]
    assert state(lab) is NodeState.EVACUATED
    assert call("give_back", NODE, lab.world()) == {"done": ["given back by hand"]}
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.IN_SERVICE


def test_an_order_to_evacuate_is_newer_than_the_give_back_that_it_overtakes() -> None:
    lab = Lab()
    call("evacuate", NODE, lab.world())
    end(lab, lab.hosts.sent[0])
    call("give_back", NODE, lab.world())
    warn(lab, time=lab.clock.time)
    assert [sent.task for sent in lab.hosts.sent] == [
        AgentTask.EVACUATE,
        AgentTask.GIVE_BACK,
        AgentTask.EVACUATE,
    ]
    versions = [sent.arguments.targets[0].version for sent in lab.hosts.sent]
    assert versions == sorted(set(versions))


def test_a_paused_cluster_records_and_sends_nothing_and_resume_catches_up_at_once() -> None:
    lab = Lab()
    assert call("pause", BLUE, lab.world()) == {"done": ["set: paused=True"]}
    assert warn(lab)[0].endswith("(paused: 1 actions held back)")
    tick(lab)
    assert (state(lab), lab.hosts.sent) == (NodeState.EVACUATING, [])
    call("resume", BLUE, lab.world())
    assert [sent.task for sent in lab.hosts.sent] == [AgentTask.EVACUATE]


def test_nothing_is_ordered_from_a_paused_cluster() -> None:
    lab = Lab()
    call("pause", BLUE, lab.world())
    for which in ("rotate_tokens", "rebalance"):
        for dry_run in (False, True):
            with pytest.raises(CallError, match="blue is paused, nothing is sent: resume it first"):
                call(which, {**BLUE, "dry_run": dry_run}, lab.world())


def test_status_of_very_many_nodes_fits_and_shows_those_with_work_first() -> None:
    lab = Lab(workers=9000)
    lab.nodes.register([a_node(instance=instance(5), state=NodeState.GONE)])
    warn(lab, instance(8000))
    answer = call("status", BLUE, lab.world())
    blue = answer["clusters"]["blue"]
    assert blue["nodes"][0]["instance"] == instance(8000)
    assert blue["states"] == {"in-service": 9002, "evacuating": 1, "gone": 1}
    assert blue["left_out"]["nodes"] == 9004 - len(blue["nodes"]) > 0
    assert len(json.dumps(answer)) < 5_000_000


def test_status_passes_over_a_result_that_another_version_recorded() -> None:
    lab = Lab()
    call("rotate_tokens", BLUE, lab.world())
    done = lab.jobs.list_all("blue")[0]
    lab.jobs.replace("blue", done, done.revise(result='{"task":"rotate-tokens","ok":true,"nodes":[{"x":1}]}'))
    (shown,) = call("status", BLUE, lab.world())["clusters"]["blue"]["errands"]
    assert (shown["state"], "result" in shown) == ("done", False)


def test_status_needs_no_payload() -> None:
    lab = Lab()
    assert set(call("status", None, lab.world())["clusters"]) == {"blue"}
    assert json.dumps(call("status", {}, lab.world()))
