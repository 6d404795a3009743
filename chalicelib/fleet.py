"""EC2 and Auto Scaling: every instance that carries the cluster tag, in one call; and lifecycle actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from chalicelib.cluster import NAME, InstanceState, Role, Sighting
from chalicelib.errors import RefusedError, ThrottledError
from chalicelib.wire import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from chalicelib.actions import Verdict
    from chalicelib.cluster import Hook

CLUSTER_TAG = "swarmkeeper:cluster"
ROLE_TAG = "swarmkeeper:role"
THROTTLED = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded"})
PAGE = 1000  # EC2's maximum


@dataclass(frozen=True, slots=True)
class AwsFleet:
    """Both through their clients, which are made when they are first needed: most events never ask."""

    connect: Callable[[], EC2Client]
    groups: Callable[[], AutoScalingClient]

    def complete(self, instance: str, hook: Hook, verdict: Verdict) -> None:
        """Complete a lifecycle action."""
        try:
            self.groups().complete_lifecycle_action(
                AutoScalingGroupName=hook.group,
                LifecycleHookName=hook.name,
                LifecycleActionToken=hook.token,
                LifecycleActionResult=verdict.value,
                InstanceId=instance,
            )
        except ClientError as error:
            _raise_unless_over(error)

    def beat(self, instance: str, hook: Hook) -> None:
        """Have a lifecycle action wait longer."""
        try:
            self.groups().record_lifecycle_action_heartbeat(
                AutoScalingGroupName=hook.group,
                LifecycleHookName=hook.name,
                LifecycleActionToken=hook.token,
                InstanceId=instance,
            )
        except ClientError as error:
            _raise_unless_over(error)

    def census(self) -> tuple[Sighting, ...]:
        """All tagged instances of all clusters, ended ones too while EC2 lists them.

        An instance with a cluster name that is none, or without a private address, is left out.
        """
        return tuple(filter(None, map(_sighting, self._instances())))

    def _instances(self) -> Iterator[InstanceTypeDef]:
        pages = (
            self.connect()
            .get_paginator("describe_instances")
            .paginate(
                Filters=[{"Name": "tag-key", "Values": [CLUSTER_TAG]}], PaginationConfig={"PageSize": PAGE}
            )
        )
        for page in pages:
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]


def _raise_unless_over(error: ClientError) -> None:
    """Pass over that the action is over, or its group or hook is no more; name what else is expected."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code == "ValidationError":
        return
    if code in THROTTLED:
        raise ThrottledError(f"Auto Scaling asks for fewer calls: {message}") from error
    raise RefusedError(f"Auto Scaling refuses: {code}: {message}") from error


def _sighting(instance: InstanceTypeDef) -> Sighting | None:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    state = InstanceState(instance["State"]["Name"])
    cluster, address = tags.get(CLUSTER_TAG, ""), instance.get("PrivateIpAddress", "")
    if not NAME.fullmatch(cluster) or not (ADDRESS.match(address) or state is InstanceState.TERMINATED):
        return None
    role = Role.MANAGER if tags.get(ROLE_TAG) == Role.MANAGER.value else Role.WORKER
    launched = instance["LaunchTime"].timestamp() if "LaunchTime" in instance else 0.0
    fleet = tags.get("aws:ec2spot:fleet-request-id") or tags.get("aws:ec2:fleet-id") or ""
    return Sighting(cluster, instance["InstanceId"], role, address, state, launched, fleet)
