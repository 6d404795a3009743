"""The discovery sees every tagged instance, and only those."""

from __future__ import annotations

import boto3
import pytest

from chalicelib.adapters.ec2 import AwsEc2, _parse_instance
from chalicelib.state.instance import InstanceState, Role

STAGES = (None, "", "prod", "dev", "prod-us")
pytestmark = pytest.mark.usefixtures("aws")


EC2 = AwsEc2(lambda: boto3.client("ec2"), "prod")


def run(**tags: str) -> str:
    listed = [{"Key": f"swarmkeeper:{key}", "Value": value} for key, value in tags.items()]
    specification = [{"ResourceType": "instance", "Tags": listed}] if listed else []
    answer = boto3.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=specification,  # type: ignore[arg-type]
    )
    return answer["Instances"][0]["InstanceId"]


def test_tagged_instances_of_all_clusters_are_seen() -> None:
    manager, worker, plain = (
        run(cluster="blue", role="manager"),
        run(cluster="green", role="worker"),
        run(cluster="x"),
    )
    run()
    seen = {discovered.instance: discovered for discovered in EC2.discover()}
    assert set(seen) == {manager, worker, plain}
    assert (seen[manager].cluster, seen[manager].role) == ("blue", Role.MANAGER)
    assert (seen[worker].cluster, seen[worker].role) == ("green", Role.WORKER)
    assert seen[plain].role is Role.WORKER
    assert seen[manager].state is InstanceState.RUNNING
    assert seen[manager].address.startswith("10.")
    assert seen[manager].launched > 0


@pytest.mark.parametrize(
    ("stage", "seen"),
    [("prod", {None, "prod"}), ("dev", {"dev"}), ("prod-us", {"prod-us"}), ("prod-eu", set())],
)
def test_a_stage_sees_its_own_instances_only_and_prod_those_without_a_stage(
    stage: str, seen: set[str | None]
) -> None:
    tagged = {tag: run(cluster="blue", **({} if tag is None else {"stage": tag})) for tag in STAGES}
    found = AwsEc2(lambda: boto3.client("ec2"), stage).discover()
    assert {discovered.instance for discovered in found} == {tagged[tag] for tag in seen}


def test_ec2_is_not_asked_for_instances_of_other_stages_where_it_can_leave_them_out() -> None:
    client = boto3.client("ec2")
    asked: list[list[dict[str, object]]] = []
    event = "provide-client-params.ec2.DescribeInstances"
    client.meta.events.register(event, lambda params, **_: asked.append(params["Filters"]))
    AwsEc2(lambda: client, "dev").discover()
    assert {"Name": "tag:swarmkeeper:stage", "Values": ["dev"]} in asked[0]


def test_ended_instances_are_seen_as_such() -> None:
    worker = run(cluster="blue")
    boto3.client("ec2").terminate_instances(InstanceIds=[worker])
    (discovered,) = EC2.discover()
    assert discovered.state is InstanceState.TERMINATED


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a/b"])
def test_a_cluster_name_that_is_none_is_left_out(name: str) -> None:
    run(cluster=name)
    assert EC2.discover() == ()


def test_what_an_instance_was_launched_by_is_its_fleet() -> None:
    instance = run(cluster="blue")
    boto3.client("ec2").create_tags(
        Resources=[instance], Tags=[{"Key": "aws:ec2:fleet-id", "Value": "fleet-12345678"}]
    )
    (discovered,) = EC2.discover()
    assert discovered.fleet == "fleet-12345678"


def test_the_group_of_an_instance_is_seen() -> None:
    instance = run(cluster="blue")
    boto3.client("ec2").create_tags(
        Resources=[instance], Tags=[{"Key": "aws:autoscaling:groupName", "Value": "workers"}]
    )
    (discovered,) = EC2.discover()
    assert discovered.group == "workers"


def test_what_becomes_labels_is_seen_and_only_where_it_can_become_one() -> None:
    run(cluster="blue")
    (discovered,) = EC2.discover()
    assert (discovered.zone, discovered.kind, discovered.lifecycle) == ("us-east-1a", "m1.small", "on-demand")
    shown = {
        "InstanceId": "i-0123456789abcdef0",
        "State": {"Name": "running"},
        "PrivateIpAddress": "10.0.0.1",
    }
    tags = {"Tags": [{"Key": "swarmkeeper:cluster", "Value": "blue"}]}
    odd = {"InstanceType": 'c5"', "InstanceLifecycle": "spot"}
    found = _parse_instance({**shown, **tags, **odd})  # type: ignore[typeddict-item]
    assert found is not None
    assert (found.zone, found.kind, found.lifecycle) == ("", "", "spot")


@pytest.mark.parametrize(
    ("shown", "cluster", "reason"),
    [
        ({}, "blue", "its subnet gives it no private IPv4 address"),
        ({"PrivateIpAddress": "10.0.0.1"}, "my cluster", "a cluster is not called 'my cluster'"),
    ],
)
def test_an_instance_that_no_cluster_can_have_is_named_with_the_reason(
    shown: dict[str, str], cluster: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    tags = [{"Key": "swarmkeeper:cluster", "Value": cluster}]
    row = {"InstanceId": "i-0123456789abcdef0", "State": {"Name": "running"}, "Tags": tags, **shown}
    assert _parse_instance(row) is None  # type: ignore[arg-type]
    assert f"i-0123456789abcdef0 is tagged swarmkeeper:cluster, but left out: {reason}" in caplog.text
