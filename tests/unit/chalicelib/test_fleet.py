"""The census sees every tagged instance, and only those."""

from __future__ import annotations

import boto3
import pytest

from chalicelib.cluster import InstanceState, Role
from chalicelib.fleet import Ec2Fleet

pytestmark = pytest.mark.usefixtures("aws")


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
    seen = {sighting.instance: sighting for sighting in Ec2Fleet(lambda: boto3.client("ec2")).census()}
    assert set(seen) == {manager, worker, plain}
    assert (seen[manager].cluster, seen[manager].role) == ("blue", Role.MANAGER)
    assert (seen[worker].cluster, seen[worker].role) == ("green", Role.WORKER)
    assert seen[plain].role is Role.WORKER
    assert seen[manager].state is InstanceState.RUNNING
    assert seen[manager].address.startswith("10.")
    assert seen[manager].launched > 0


def test_ended_instances_are_seen_as_such() -> None:
    worker = run(cluster="blue")
    boto3.client("ec2").terminate_instances(InstanceIds=[worker])
    (sighting,) = Ec2Fleet(lambda: boto3.client("ec2")).census()
    assert sighting.state is InstanceState.TERMINATED


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a/b"])
def test_a_cluster_name_that_is_none_is_left_out(name: str) -> None:
    run(cluster=name)
    assert Ec2Fleet(lambda: boto3.client("ec2")).census() == ()
