"""EC2 and Auto Scaling: every instance that carries the cluster tag, in one call; and lifecycle actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnconnectedError

from chalicelib.errors import RefusedError, ThrottledError
from chalicelib.protocol.codec import ADDRESS
from chalicelib.state.instance import (
    NAME,
    DiscoveredInstance,
    InstanceState,
    LifecycleAction,
    Role,
    Transition,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from chalicelib.actions import LifecycleResult

CLUSTER_TAG = "swarmkeeper:cluster"
ROLE_TAG = "swarmkeeper:role"
GROUP_TAG = "aws:autoscaling:groupName"
THROTTLED = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded"})
UNANSWERED = (UnconnectedError, HTTPClientError)
PAGE = 1000  # EC2's maximum
NAMES = 50  # groups that Auto Scaling describes at once
WARM = "Warmed:"  # before the states of a warm pool
WAITING = {"Pending:Wait": Transition.LAUNCHING, "Terminating:Wait": Transition.TERMINATING}


@dataclass(frozen=True, slots=True)
class AwsFleet:
    """Both through their clients, which are made when they are first needed: most events never ask."""

    connect: Callable[[], EC2Client]
    groups: Callable[[], AutoScalingClient]

    def complete(self, instance: str, hook: LifecycleAction, result: LifecycleResult) -> None:
        """Complete a lifecycle action."""
        try:
            self.groups().complete_lifecycle_action(
                LifecycleActionResult=result.value, **_action(instance, hook)
            )
        except ClientError as error:
            _raise_unless_over(error)

    def heartbeat(self, instance: str, hook: LifecycleAction) -> None:
        """Have a lifecycle action wait longer."""
        try:
            self.groups().record_lifecycle_action_heartbeat(**_action(instance, hook))
        except ClientError as error:
            _raise_unless_over(error)

    def discovery(self) -> tuple[DiscoveredInstance, ...]:
        """All tagged instances of all clusters, ended ones too while EC2 lists them.

        An instance with a cluster name that is none, or without a private address, is left out.
        """
        return tuple(filter(None, map(_discovered, self._instances())))

    def held(self, groups: Iterable[str], now: float) -> dict[str, tuple[LifecycleAction, ...]]:
        """The instances for which these groups wait, each with the lifecycle actions that may be open for it.

        A call for 50 groups, of any size, and one for each that waits. Hooks that tell a target of their own
        are somebody else's to complete.
        """
        names = sorted(groups)
        try:
            parts = [names[first : first + NAMES] for first in range(0, len(names), NAMES)]
            found = [group for part in parts for group in self._described(part)]
            return {name: hooks for group in found for name, hooks in self._waiting(group, now)}
        except UNANSWERED as error:
            raise ThrottledError(f"Auto Scaling does not answer: {error}") from error
        except ClientError as error:
            raise _named(error) from error

    def _described(self, names: list[str]) -> Iterator[AutoScalingGroupTypeDef]:
        pages = self.groups().get_paginator("describe_auto_scaling_groups")
        for page in pages.paginate(AutoScalingGroupNames=names):
            yield from page["AutoScalingGroups"]

    def _waiting(
        self, group: AutoScalingGroupTypeDef, now: float
    ) -> Iterator[tuple[str, tuple[LifecycleAction, ...]]]:
        states = {one["InstanceId"]: one["LifecycleState"].removeprefix(WARM) for one in group["Instances"]}
        waiting = {name: WAITING[state] for name, state in states.items() if state in WAITING}
        if not waiting:
            return
        name = group["AutoScalingGroupName"]
        rows = self.groups().describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"]
        ours = [
            LifecycleAction(name, row["LifecycleHookName"], "", Transition(row["LifecycleTransition"]), now)
            for row in rows
            if not row.get("NotificationTargetARN")
        ]
        for instance, transition in waiting.items():
            yield instance, tuple(hook for hook in ours if hook.transition is transition)

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


def _action(instance: str, hook: LifecycleAction) -> Any:
    """A lifecycle action's names, by its token where it is known."""
    names = {"AutoScalingGroupName": hook.group, "LifecycleHookName": hook.name, "InstanceId": instance}
    return names | ({"LifecycleActionToken": hook.token} if hook.token else {})


def _raise_unless_over(error: ClientError) -> None:
    """Pass over that the action is over, or its group or hook is no more; name what else is expected."""
    if error.response["Error"]["Code"] != "ValidationError":
        raise _named(error) from error


def _named(error: ClientError) -> Exception:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code in THROTTLED:
        return ThrottledError(f"Auto Scaling asks for fewer calls: {message}")
    return RefusedError(f"Auto Scaling refuses: {code}: {message}")


def _discovered(instance: InstanceTypeDef) -> DiscoveredInstance | None:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    state = InstanceState(instance["State"]["Name"])
    cluster, address = tags.get(CLUSTER_TAG, ""), instance.get("PrivateIpAddress", "")
    if not NAME.fullmatch(cluster) or not (ADDRESS.match(address) or state is InstanceState.TERMINATED):
        return None
    role = Role.MANAGER if tags.get(ROLE_TAG) == Role.MANAGER.value else Role.WORKER
    launched = instance["LaunchTime"].timestamp() if "LaunchTime" in instance else 0.0
    fleet = tags.get("aws:ec2spot:fleet-request-id") or tags.get("aws:ec2:fleet-id") or ""
    group = tags.get(GROUP_TAG, "")
    return DiscoveredInstance(cluster, instance["InstanceId"], role, address, state, launched, fleet, group)
