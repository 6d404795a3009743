"""Systems Manager's Run Command API, as strict as the real one; what the lab cannot do it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.lab.aws import events
from tests.lab.endpoint.messages import AwsError
from tests.lab.endpoint.run_command import execution, send
from tests.lab.endpoint.run_command.commands import Commands
from tests.lab.endpoint.run_command.send import Message, refuse_unknown_fields
from tests.lab.endpoint.run_command.shapes import (
    command_row,
    invocation_answer,
    invocation_row,
    page,
    select_invocations,
)
from tests.lab.state import Host

_PLUGIN = "aws:runShellScript"


@dataclass
class RunCommand:
    """The API. ``hosts`` answers all hosts as they are; each registers so many seconds after its launch."""

    commands: Commands
    hosts: Callable[[], tuple[Host, ...]]
    registration: float = 1.0
    powered: Callable[[Host], bool] = execution.powered
    operations: Mapping[str, Callable[[Message], Message]] = field(init=False)

    def __post_init__(self) -> None:
        """Name the operations that it knows."""
        self.operations = {
            "SendCommand": self.send_command,
            "GetCommandInvocation": self.get_command_invocation,
            "ListCommands": self.list_commands,
            "ListCommandInvocations": self.list_command_invocations,
            "CancelCommand": self.cancel_command,
            "DescribeInstanceInformation": self.describe_instance_information,
        }

    def send_command(self, message: Message) -> Message:
        """Queue a shell script on up to 50 hosts."""
        order = send.order(message)
        online = {host.instance for host in self.hosts() if self._registered(host)}
        if strangers := [instance for instance in order.instances if instance not in online]:
            listed = ", ".join(strangers)
            account = events.ACCOUNT
            raise AwsError(
                "InvalidInstanceId", f"Instances [[{listed}]] not in a valid state for account {account}"
            )
        self.commands.send(order)
        return {"Command": command_row(self.commands.of(order.command))}

    def get_command_invocation(self, message: Message) -> Message:
        """How an order stands on one host, with its output once it has ended."""
        refuse_unknown_fields(message, {"CommandId", "InstanceId", "PluginName"})
        if message.get("PluginName", _PLUGIN) not in (_PLUGIN, "runShellScript"):
            raise AwsError("InvalidPluginName", f"the only plugin of {send.DOCUMENT} is {_PLUGIN}")
        found = self.commands.get(message.get("CommandId", ""), message.get("InstanceId", ""))
        if found is None:
            raise AwsError("InvocationDoesNotExist", "")
        return invocation_answer(found)

    def list_commands(self, message: Message) -> Message:
        """List the orders, newest first."""
        refuse_unknown_fields(message, {"CommandId", "InstanceId", "Filters", "MaxResults", "NextToken"})
        chosen = select_invocations(self.commands.all(), message)
        ids = dict.fromkeys(invocation.order.command for invocation in chosen)
        return page("Commands", [command_row(self.commands.of(command)) for command in ids], message)

    def list_command_invocations(self, message: Message) -> Message:
        """How the orders stand on their hosts, newest first; ``Details`` adds the first of their output."""
        refuse_unknown_fields(
            message, {"CommandId", "InstanceId", "Filters", "MaxResults", "NextToken", "Details"}
        )
        details = bool(message.get("Details", False))
        rows = [
            invocation_row(found, details=details)
            for found in select_invocations(self.commands.all(), message)
        ]
        return page("CommandInvocations", rows, message)

    def cancel_command(self, message: Message) -> Message:
        """Try to stop an order on some or all of its hosts."""
        refuse_unknown_fields(message, {"CommandId", "InstanceIds"})
        sent_to = {found.instance for found in self.commands.of(message.get("CommandId", ""))}
        if not sent_to:
            raise AwsError("InvalidCommandId", "")
        if set(message.get("InstanceIds", [])) - sent_to:
            raise AwsError("InvalidInstanceId", "")
        self.commands.cancel(message["CommandId"], tuple(message.get("InstanceIds", [])))
        return {}

    def describe_instance_information(self, message: Message) -> Message:
        """List the hosts whose agent has ever registered, and whether it answers."""
        refuse_unknown_fields(
            message, {"Filters", "InstanceInformationFilterList", "MaxResults", "NextToken"}
        )
        chosen = _chosen(message)
        hosts = [host for host in self.hosts() if self._seen(host)]
        rows = [self._information(host) for host in hosts if chosen is None or host.instance in chosen]
        return page("InstanceInformationList", rows, message)

    def _seen(self, host: Host) -> bool:
        return host.state == "running" and time.time() >= host.launched + self.registration

    def _registered(self, host: Host) -> bool:
        return self._seen(host) and self.powered(host)

    def _information(self, host: Host) -> Message:
        return {
            "InstanceId": host.instance,
            "PingStatus": "Online" if self._registered(host) else "ConnectionLost",
            "LastPingDateTime": time.time(),
            "AgentVersion": "3.3.0.0",
            "IsLatestVersion": True,
            "PlatformType": "Linux",
            "ResourceType": "EC2Instance",
            "IPAddress": host.address,
            "ComputerName": host.name,
        }


def _chosen(message: Message) -> set[str] | None:
    """Find the instance ids that both kinds of filter let through; None for all."""
    rows = [(row["Key"], row["Values"]) for row in message.get("Filters", [])]
    rows += [(row["key"], row["valueSet"]) for row in message.get("InstanceInformationFilterList", [])]
    if unknown := [key for key, _ in rows if key != "InstanceIds"]:
        raise AwsError("InvalidFilterKey", f"the lab filters by InstanceIds, not by {unknown[0]}")
    return set.intersection(*(set(values) for _, values in rows)) if rows else None
