"""What a message tells people to do works as written: every command of every fix is resolved."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

import app as deployed
from chalicelib.admin.calls import CALLS
from chalicelib.admin.payloads import check_payload
from chalicelib.events import CommandFinished, DiscoveryFailed, FleetFailed
from chalicelib.protocol.codec import encode_arguments
from chalicelib.protocol.messages import (
    INSTANCE,
    AgentTask,
    Arguments,
    Fate,
    NodeReport,
    Rebalance,
    Result,
    Target,
)
from chalicelib.rules import fixes, incidents, swarm_incidents
from chalicelib.rules.fixes import LEFT_BY_JOB, LEFT_BY_NODE_TASK, REFUSALS
from chalicelib.state.cluster import Cluster
from chalicelib.state.deployment import Deployment
from chalicelib.state.incident import Incident
from chalicelib.state.job import Job
from chalicelib.state.lifecycle import WORK
from chalicelib.state.scheduled_change import ScheduledChange
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, a_cluster, a_node
from tests.unit.chalicelib.support.samples import sample
from tests.unit.support.pages import ROOT, Page

STAGES = json.loads((ROOT / ".chalice" / "config.json").read_text())["stages"]
PROGRAMS = re.compile(r"\b(?:aws|chalice|make|docker|systemctl)\b [a-z]")
COMMANDS = re.compile(
    r"(?P<invoke>aws lambda invoke [^\n]*)|(?P<chalice>echo [^\n]*)|(?P<logs>aws logs tail [^\n;,]*)"
    r"|(?P<tags>aws autoscaling create-or-update-tags [^\n]*)"
    r"|(?P<tag>aws ec2 create-tags [^\n]*)"
    r"|(?P<make>make deploy STAGE=[^ ;,]*)|docker (?:info|node ls|swarm leave --force)"
    r"|systemctl status docker|make the swarm|docker node update --availability drain [a-z0-9]+"
)
PAGES = re.compile(r"docs/[a-z-]+\.md(?:#[a-z-]+)?")
SERVICES = Rebalance(services=("web", "it's"), mode="surge", max_moves=3)


def jobs() -> Iterator[Job]:
    for task in LEFT_BY_JOB:
        about = WORKER if "instance" in CALLS[task.value.replace("-", "_")][0] else ""
        rebalance = replace(SERVICES, services=("web",)) if task is AgentTask.REBALANCE else Rebalance()
        arguments = encode_arguments(Arguments(rebalance=rebalance))
        yield Job(task=task, since=START, instance=about, arguments=arguments, reason="broken")
    yield Job(task=AgentTask.REBALANCE, since=START, automatic=True, reason="broken")


def causes(cluster: Cluster) -> Iterator[tuple[str, str]]:
    ended = CommandFinished(START, "c", MANAGERS[0], AgentTask.EVACUATE, "Failed", failure="it broke")
    yield fixes.explain_host_failure(replace(ended, unfetched=True), cluster)
    yield fixes.explain_host_failure(ended, cluster)
    yield fixes.explain_host_failure(replace(ended, result=Result(AgentTask.EVACUATE, ok=False)), cluster)


def samples(cluster: Cluster) -> dict[str, list[Incident]]:
    """Make every incident that the rules can build, in all its kinds."""
    node, bare = a_node(reason="it broke"), replace(cluster, managers=())
    works = [replace(node, state=state) for state, work in WORK.items() if work.task in LEFT_BY_NODE_TASK]
    refused = [replace(works[0], reason=f"Run Command {words} i-1: no") for words in REFUSALS]
    fleet = FleetFailed.parse(sample("ec2_fleet_error", START))
    assert isinstance(fleet, FleetFailed)
    return {
        "node_work_given_up": [incidents.node_work_given_up(one, cluster) for one in (*works, *refused)],
        "job_failed": [
            *(incidents.job_failed(job, cluster) for job in jobs()),
            incidents.job_failed(Job(task=AgentTask.INSPECT, since=START), cluster),
        ],
        "no_manager_could": [
            incidents.no_manager_could(cluster, AgentTask.EVACUATE, "no", MANAGERS[0], cause)
            for cause in causes(cluster)
        ],
        "node_absent": [incidents.node_absent(node, node, cluster)],
        "worker_promoted": [
            swarm_incidents.worker_promoted(NodeReport(WORKER, "n1", Fate.PROMOTED, "no majority"), cluster)
        ],
        "cluster_ended": [swarm_incidents.cluster_ended([node], cluster)],
        "node_id_twice": [swarm_incidents.node_id_twice(node, replace(node, instance=MANAGERS[0]), cluster)],
        "host_differs": [incidents.host_differs(node, "it says manager", cluster)],
        "change_is_long": [incidents.change_is_long(ScheduledChange(START, end=START), node, cluster)],
        "nodes_wait": [
            incidents.nodes_wait(node, 3, "a hint", [WORKER] * number, cluster) for number in (1, 9)
        ],
        "tasks_stay": [incidents.tasks_stay(replace(node, node="n1"), cluster)],
        "node_stays_down": [incidents.node_stays_down(Target(WORKER, "10.0.0.1"), node, cluster)],
        "listing_differs": [incidents.listing_differs(4, 5, MANAGERS[0], cluster)],
        "manager_of_another_swarm": [incidents.manager_of_another_swarm(MANAGERS[0], "n1", cluster)],
        "no_host_takes_commands": [
            incidents.no_host_takes_commands([one], cluster) for one in (node, *refused)
        ],
        "no_swarm": [incidents.no_swarm([node], 1, one) for one in (cluster, bare)],
        "lifecycle_action_open": [incidents.lifecycle_action_open("group", node, cluster)],
        "discovery_failed": [incidents.discovery_failed(DiscoveryFailed(START, "groups", "no"), cluster)],
        "fleet_failed": [incidents.fleet_failed(fleet, cluster)],
    }


def check_call(function: str, payload: str, stage: str) -> None:
    assert function in deployed.app.handler_map
    check_payload(json.loads(payload), CALLS[function][0])
    assert stage in STAGES


def options(words: list[str]) -> dict[str, str]:
    pairs = pairwise(words)
    return {name: value for name, value in pairs if name.startswith("-")}


def resolve(command: re.Match[str], stage: str) -> None:
    words = shlex.split(command[0])
    given = options(words)
    match command.lastgroup:
        case "invoke":
            assert set(given) == {"--function-name", "--region", "--cli-binary-format", "--payload"}
            assert given["--cli-binary-format"] == "raw-in-base64-out"
            assert words[-1] == "/dev/stdout"
            prefix = f"swarmkeeper-{stage}-"
            assert given["--function-name"].startswith(prefix)
            check_call(given["--function-name"].removeprefix(prefix), given["--payload"], stage)
        case "chalice":
            assert words[:1] + words[2:5] == ["echo", "|", ".venv/bin/chalice", "invoke"]
            assert given["--stage"] == stage
            check_call(given["-n"], words[1], stage)
        case "logs":
            name = words[3].removeprefix(f"/aws/lambda/swarmkeeper-{stage}-")
            assert name in deployed.app.handler_map
        case "tags":
            tags = [dict(pair.split("=", 1) for pair in word.split(",")) for word in words[6:]]
            asked = {one["Key"]: one["Value"] for one in tags}
            assert asked == {"swarmkeeper:cluster": "blue", "swarmkeeper:stage": stage}
            assert {one["ResourceType"] for one in tags} == {"auto-scaling-group"}
        case "tag":
            assert given["--region"] == "eu-west-1"
            assert given["--tags"] == "Key=swarmkeeper:role,Value=manager"
            assert INSTANCE.match(given["--resources"])
        case "make":
            assert f"STAGE={stage}" in words
            assert re.search(r"^deploy:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def a_deployed_cluster(stage: str) -> Cluster:
    return replace(a_cluster(), deployment=Deployment(f"swarmkeeper-{stage}", "eu-west-1"))


def test_there_is_a_sample_of_every_incident_that_rules_make() -> None:
    builders = {
        name
        for module in (incidents, swarm_incidents)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if inspect.signature(function).return_annotation == "Incident"
    }
    assert set(samples(a_cluster())) == builders


@pytest.mark.parametrize("stage", STAGES)
def test_every_command_in_every_remedy_works_as_written(stage: str) -> None:
    seen: list[str | None] = []
    for made in samples(a_deployed_cluster(stage)).values():
        for fix in (incident.fix for incident in made):
            found = list(COMMANDS.finditer(fix))
            for command in found:
                resolve(command, stage)
            seen += [command.lastgroup for command in found]
            assert not PROGRAMS.search(COMMANDS.sub("", fix)), f"a command that no test resolves: {fix}"
            for page in PAGES.findall(fix):
                name, _, anchor = page.partition("#")
                assert anchor in Page(ROOT / name).anchors
            assert "…" not in fix, "nothing is left for the reader to fill in"
    assert {"invoke", "chalice", "logs", "make", "tags", "tag"} <= set(seen)


def test_each_call_is_shown_without_the_checkout_and_with_it() -> None:
    (one, *_) = samples(a_deployed_cluster("prod"))["node_work_given_up"]
    payload = json.dumps({"cluster": "blue", "instance": WORKER})
    direct = "  aws lambda invoke --function-name swarmkeeper-prod-redrive --region eu-west-1"
    assert one.fix.splitlines() == [
        "fix the cause, then:",
        f"{direct} --cli-binary-format raw-in-base64-out --payload '{payload}' /dev/stdout",
        "or, in the checkout that it was deployed from:",
        f"  echo '{payload}' | .venv/bin/chalice invoke -n redrive --stage prod",
    ]


def test_a_recovery_is_ordered_again_with_its_confirmation() -> None:
    fixes = [made.fix for made in samples(a_deployed_cluster("prod"))["job_failed"]]
    (fix,) = (text for text in fixes if "swarmkeeper-prod-recover" in text)
    assert json.dumps({"cluster": "blue", "instance": WORKER, "confirm": "blue"}) in fix


@pytest.mark.parametrize("given", [{"services": ["it's"]}, {"cluster": 'a"b'}, {"cluster": "$(id)"}])
def test_a_payload_is_quoted_for_the_shell(given: dict[str, Any]) -> None:
    direct, _, piped = Deployment().write_call("rebalance", given).strip().partition("\nor,")
    assert json.loads(options(shlex.split(direct))["--payload"]) == given
    assert json.loads(shlex.split(piped.splitlines()[1])[1]) == given
