"""Root on a host, with its real instance role, or with two tags alone: it stays what EC2 says that it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bootstrap.host.parameter_store import parameter_name
from chalicelib.protocol.codec import encode_result
from chalicelib.protocol.messages import AgentTask, Fate, Listing, NodeReport, Result
from tests.e2e.support.managers import living
from tests.lab import lifecycle, state
from tests.lab.aws import host_roles, lab_api, mailbox
from tests.lab.aws.deploy import STAGE
from tests.lab.aws.event_samples import drill_event, genuine_event, wait_for_reason
from tests.lab.cli.commands_aws import TABLE
from tests.lab.machines import programs
from tests.lab.observe import node_life
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine

Call = tuple[str, str, dict[str, Any]]
REFUSED = re.compile("AccessDenied|Unauthorized|NotAuthorized|AuthorizationError")
STRANGER = "stranger"  # the role of an instance that is none of the cluster's
# What root makes of the python3 that agent.sh finds first: it fetches the agent, and answers in its place.
WRAPPER = """#!/bin/sh
case $1 in -c | - | -m) exec /usr/bin/python3 "$@" ;; esac
count=$(cat /var/lies/count)
echo $((count + 1)) > /var/lies/count
[ -f /var/lies/$count ] || count=last
cat /var/lies/$count
"""
# Makes calls with the keys that the instance's metadata hand out, and prints what became of each.
CALLS = """
import boto3, json, sys
from botocore.config import Config
from botocore.exceptions import ClientError
settings = {"endpoint_url": sys.argv[1], "region_name": "us-east-1"}
settings["config"] = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
for service, operation, arguments in json.loads(sys.argv[2]):
    try:
        said, code = getattr(boto3.client(service, **settings), operation)(**arguments), ""
    except ClientError as error:
        said, code = "", error.response["Error"]["Code"]
    print(json.dumps([f"{service} {operation}", code, said], default=str))
"""


@pytest.fixture(scope="module")
def lab(deployed: Lab) -> Lab:
    return deployed


@pytest.fixture
def worker(lab: Lab) -> Host:
    return node_life.workers_in_service(lab)[-1]


def picture(lab: Lab, *but: Host) -> dict[str, Any]:
    """Show all nodes and records but those of these hosts: what nobody may change for others."""
    nodes = engine.nodes(engine.manager(state.load(lab.name)))
    others = [node for node in nodes if node.address not in {host.address for host in but}]
    seen: dict[str, Any] = {
        node.id: (node.role, node.availability, node.state, node.labels) for node in others
    }
    for instance, row in node_life.records(lab).items():
        if instance not in {host.instance for host in but}:
            seen[instance] = (row["state"], row["role"], row.get("node", ""), row["version"])
    return seen


def calls_as_root(lab: Lab, host: Host, calls: list[Call]) -> list[tuple[str, str, Any]]:
    """Make calls from the host, with its role's keys; answers each one's name, error code and answer."""
    enter = ["nsenter", "--target", str(host.pid), "--net", "env", "-i", f"PATH={programs.PATH}"]
    enter += ["AWS_METADATA_SERVICE_TIMEOUT=30", "AWS_METADATA_SERVICE_NUM_ATTEMPTS=3"]  # 1 s, once, else
    words = [*enter, sys.executable, "-c", CALLS, lab.endpoint, json.dumps(calls)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return [(what, code, said) for what, code, said in map(json.loads, done.stdout.splitlines())]


def test_a_workers_role_reads_its_own_token_and_can_do_nothing_to_others(lab: Lab, worker: Host) -> None:
    manager, before = living(lab)[0], picture(lab)
    own, other = (parameter_name(lab.cluster, role) for role in ("worker", "manager"))
    function, key = f"swarmkeeper-{STAGE}-evacuate", {"cluster": lab.cluster, "item": "settings"}
    group = {"AutoScalingGroupName": "workers", "LifecycleHookName": "terminate"}
    tags = [{"Key": "swarmkeeper:role", "Value": "manager"}]
    script = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["id"]}}
    forbidden: list[Call] = [
        ("ssm", "get_parameter", {"Name": other, "WithDecryption": True}),
        ("ssm", "get_parameters", {"Names": [other], "WithDecryption": True}),
        (
            "ssm",
            "get_parameters_by_path",
            {"Path": "/swarmkeeper", "Recursive": True, "WithDecryption": True},
        ),
        ("ssm", "get_parameter_history", {"Name": other, "WithDecryption": True}),
        ("ssm", "put_parameter", {"Name": own, "Value": "x", "Type": "SecureString", "Overwrite": True}),
        ("ssm", "send_command", {"InstanceIds": [manager.instance], **script}),
        ("ssm", "list_command_invocations", {"Details": True}),
        ("ec2", "create_tags", {"Resources": [worker.instance], "Tags": tags}),
        ("ec2", "terminate_instances", {"InstanceIds": [manager.instance]}),
        ("ec2", "describe_instances", {}),
        ("autoscaling", "complete_lifecycle_action", {**group, "LifecycleActionResult": "CONTINUE"}),
        ("dynamodb", "scan", {"TableName": TABLE}),
        ("dynamodb", "delete_item", {"TableName": TABLE, "Key": {k: {"S": v} for k, v in key.items()}}),
        ("lambda", "invoke", {"FunctionName": function, "Payload": json.dumps(key)}),
        ("s3", "list_buckets", {}),
        ("sns", "list_topics", {}),
        ("events", "put_events", {"Entries": [_entry(drill_event("spot_interruption_warning", manager))]}),
    ]
    allowed: Call = ("ssm", "get_parameter", {"Name": own, "WithDecryption": True})
    said = calls_as_root(lab, worker, [*forbidden, allowed])
    assert len(said) == len(forbidden) + 1
    assert [what for what, code, _ in said if not REFUSED.search(code)] == ["ssm get_parameter"]
    assert said[-1][2]["Parameter"]["Name"] == own
    assert picture(lab) == before


def _entry(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
    }


@pytest.fixture
def may_send_events(lab: Lab) -> Iterator[None]:
    """Somebody has allowed workers to send events: ours cannot forbid what others attach."""
    iam, role = lab_api.connect(lab).client("iam"), host_roles.name(lab.cluster, "worker")
    allow = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName=role, PolicyName="events", PolicyDocument=document)
    yield
    iam.delete_role_policy(RoleName=role, PolicyName="events")


@pytest.mark.usefixtures("may_send_events")
def test_who_may_put_events_warns_of_nobody_unless_drills_are_allowed(lab: Lab, worker: Host) -> None:
    manager, before = living(lab)[-1], picture(lab)
    genuine = genuine_event("spot_interruption_warning", manager)
    forged = [genuine, {**genuine, "source": "mine.ec2"}, drill_event("spot_interruption_warning", manager)]
    calls: list[Call] = [("events", "put_events", {"Entries": [_entry(event)]}) for event in forged]
    failed = [
        bool(code) or said["FailedEntryCount"] > 0 for _, code, said in calls_as_root(lab, worker, calls)
    ]
    assert failed == [True, False, False]
    none = "a drill, but this cluster allows none"
    wait_for_reason(lab, "on_spot_interruption_warning", none, manager.instance)
    assert picture(lab) == before


def bare_host(lab: Lab, prepare: Callable[[Host], None], role: str = "worker", profile: str = "") -> Host:
    """Add a host that root prepares before its first command can reach it."""
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 600})
    try:
        add = partial(lifecycle.add, lab.name, role, profile=profile)
        host = node_life.without_state_changes(lab, add)
        prepare(host)
    finally:
        lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 1})
    return host


def wrap(host: Host, lies: list[str]) -> None:
    """Have each command's agent answer with the next lie, and with the last one from then on."""
    root = Path(f"/proc/{host.pid}/root")
    (root / "var/lies").mkdir()
    (root / "var/lies/count").write_text("0\n")
    for number, lie in enumerate(lies[:-1]):
        (root / f"var/lies/{number}").write_text(lie)
    (root / "var/lies/last").write_text(lies[-1])
    program = root / "usr/local/sbin/python3"
    program.write_text(WRAPPER)
    program.chmod(0o755)


def forged_answers(host: Host, victim: Host, node: str) -> list[str]:
    """List what it answers to its join: what breaks readers, words for others, another's node id."""
    inspected = Result(AgentTask.INSPECT, ok=True, listing=Listing(nodes=1))
    others = Result(AgentTask.LEAVE, ok=True, nodes=(NodeReport(victim.instance, node, Fate.REMOVED),))
    endless = encode_result(
        Result(AgentTask.JOIN, ok=True, nodes=(NodeReport(host.instance, "x", Fate.JOINED),))
    )
    joined = tuple(NodeReport(one.instance, node, Fate.JOINED) for one in (victim, host))
    return [
        "[" * 40_000,
        endless.replace('"seconds":0.0', '"seconds":1e999'),
        f"{encode_result(inspected)}\n{encode_result(others)}",
        encode_result(Result(AgentTask.JOIN, ok=True, nodes=joined)),
    ]


@pytest.mark.thorough  # each lie costs a join that is put off longer than the one before
def test_a_wrapped_agent_that_answers_for_others_gets_nothing_and_is_told(lab: Lab) -> None:
    """It answers with the node id of a manager in the end, and keeps it when its instance is gone."""
    victim = living(lab)[0]
    node = node_life.records(lab)[victim.instance]["node"]
    host = bare_host(lab, lambda one: wrap(one, forged_answers(one, victim, node)))
    before = picture(lab, host)

    def refused() -> bool:
        node_life.tick(lab)
        return "refused: node" in node_life.records(lab).get(host.instance, {}).get("reason", "")

    engine.wait_until(refused, "the managers refuse the node that it names", seconds=400, pause=2)
    row = node_life.records(lab)[host.instance]
    assert row["state"] in ("activating", "joining"), "it joins anew, in vain"
    assert int(Path(f"/proc/{host.pid}/root/var/lies/count").read_text()) >= 4
    assert host.address not in {one.address for one in engine.nodes(engine.manager(lab))}
    assert picture(lab, host) == before
    told = engine.wait_until(lambda: about(lab, host), "people are told")
    assert any(f"node {node} is " in text for text in told)
    lifecycle.kill(lab.name, host.instance)
    node_life.tick_until(lab, (host,), "gone", 180)
    assert picture(lab, host) == before


def about(lab: Lab, host: Host) -> list[str]:
    """List the messages to people about a host."""
    return [one.text for one in mailbox.letters(lab) if host.instance in one.subject]


def make_own_swarm(host: Host) -> None:
    engine.connect(host, timeout=60).swarm.init(advertise_addr=host.address, listen_addr="0.0.0.0:2377")


def test_a_host_that_is_only_tagged_as_manager_is_asked_nothing_and_gets_no_token(lab: Lab) -> None:
    """It has a swarm of its own, which lists no node of the cluster; who has tagged it has no role for it."""
    stay = {"Effect": "Allow", "Action": "ssm:UpdateInstanceInformation", "Resource": "*"}
    documents = {"stay": {"Version": "2012-10-17", "Statement": [stay]}}
    host_roles.create_role(lab_api.connect(lab).client("iam"), STRANGER, documents)
    host = bare_host(lab, make_own_swarm, "manager", STRANGER)
    before = picture(lab, host)

    def asked_in_vain() -> bool:
        node_life.tick(lab)
        return "the swarm lists no node" in node_life.records(lab).get(host.instance, {}).get("reason", "")

    engine.wait_until(asked_in_vain, "no manager knows the node that it says it is", pause=1)
    node_life.inspect_now(lab)
    assert {row["order"]["comment"].split()[0] for row in commands_on(lab, host)} == {"join"}
    token: Call = ("ssm", "get_parameter", {"Name": parameter_name(lab.cluster, "manager")})
    assert REFUSED.search(calls_as_root(lab, host, [token])[0][1])
    assert "SWMTKN" not in json.dumps(commands_on(lab, host))
    assert node_life.records(lab)[host.instance]["state"] == "joining"
    assert picture(lab, host) == before
    assert len(node_life.managers(lab)) == 3


def commands_on(lab: Lab, host: Host) -> list[dict[str, Any]]:
    """List the commands that were sent to a host."""
    return [row for row in lab_api.commands(lab) if row["instance"] == host.instance]
