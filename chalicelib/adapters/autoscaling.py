"""Auto Scaling: the lifecycle actions with which groups wait for their instances."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws_errors import AWS_ERRORS, error_code, translate
from chalicelib.state.instance import LifecycleAction, Transition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef

    from chalicelib.actions import LifecycleResult

SERVICE = "Auto Scaling"
GROUPS_PER_CALL = 50  # Auto Scaling's maximum
WARM_POOL = "Warmed:"  # stands before the states of a warm pool
WAITING = {"Pending:Wait": Transition.LAUNCHING, "Terminating:Wait": Transition.TERMINATING}


@dataclass(frozen=True, slots=True)
class AwsAutoScaling:
    """ports.AutoScaling through a client, which is made when it is first needed."""

    connect: Callable[[], AutoScalingClient]

    def complete(self, instance: str, hook: LifecycleAction, result: LifecycleResult) -> None:
        """Complete a lifecycle action."""
        try:
            self.connect().complete_lifecycle_action(
                LifecycleActionResult=result.value, **_action_arguments(instance, hook)
            )
        except AWS_ERRORS as error:
            _raise_unless_over(error)

    def record_heartbeat(self, instance: str, hook: LifecycleAction) -> None:
        """Have a lifecycle action wait longer."""
        try:
            self.connect().record_lifecycle_action_heartbeat(**_action_arguments(instance, hook))
        except AWS_ERRORS as error:
            _raise_unless_over(error)

    def list_open(self, groups: Iterable[str], now: float) -> dict[str, tuple[LifecycleAction, ...]]:
        """Answer the instances for which these groups wait, each with the lifecycle actions that may be open.

        Takes one call for 50 groups of any size, and one for each group that waits. Hooks with a notification
        target of their own are somebody else's to complete.
        """
        names = sorted(groups)
        try:
            starts = range(0, len(names), GROUPS_PER_CALL)
            parts = [names[first : first + GROUPS_PER_CALL] for first in starts]
            found = [group for part in parts for group in self._describe_groups(part)]
            return {name: hooks for group in found for name, hooks in self._list_waiting(group, now)}
        except AWS_ERRORS as error:
            raise translate(error, SERVICE) from error

    def _describe_groups(self, names: list[str]) -> Iterator[AutoScalingGroupTypeDef]:
        pages = self.connect().get_paginator("describe_auto_scaling_groups")
        for page in pages.paginate(AutoScalingGroupNames=names):
            yield from page["AutoScalingGroups"]

    def _list_waiting(
        self, group: AutoScalingGroupTypeDef, now: float
    ) -> Iterator[tuple[str, tuple[LifecycleAction, ...]]]:
        rows = group["Instances"]
        states = {row["InstanceId"]: row["LifecycleState"].removeprefix(WARM_POOL) for row in rows}
        warm = {row["InstanceId"] for row in rows if row["LifecycleState"].startswith(WARM_POOL)}
        waiting = {name: WAITING[state] for name, state in states.items() if state in WAITING}
        if not waiting:
            return
        name = group["AutoScalingGroupName"]
        hooks = self.connect().describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"]
        ours = [
            LifecycleAction(name, row["LifecycleHookName"], "", Transition(row["LifecycleTransition"]), now)
            for row in hooks
            if not row.get("NotificationTargetARN")
        ]
        for instance, transition in waiting.items():
            into_pool = instance in warm and transition is Transition.LAUNCHING
            hooks_now = (hook for hook in ours if hook.transition is transition)
            yield instance, tuple(replace(hook, warm=into_pool) for hook in hooks_now)


def _action_arguments(instance: str, hook: LifecycleAction) -> Any:
    """Answer what names a lifecycle action: its token, where it is known, or its instance."""
    names = {"AutoScalingGroupName": hook.group, "LifecycleHookName": hook.name, "InstanceId": instance}
    return names | ({"LifecycleActionToken": hook.token} if hook.token else {})


def _raise_unless_over(error: Exception) -> None:
    """Pass over that the action is over, or its group or hook is no more; raise any other error."""
    if error_code(error) != "ValidationError":
        raise translate(error, SERVICE) from error
