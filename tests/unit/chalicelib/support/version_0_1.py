"""The records of version 0.1 in the table, and its commands on the hosts, for today's handlers."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.adapters import wiring
from chalicelib.events import Answer, InvocationEnded, Tick
from chalicelib.routing import handle
from chalicelib.state.instance import DiscoveredInstance, InstanceState, Role
from chalicelib.state.settings import Timeouts
from tests.unit.chalicelib.conftest import TABLE
from tests.unit.chalicelib.support.fakes import FakeHosts, Lab
from tests.unit.chalicelib.support.samples import EVENTS, sample

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.adapters.ports import World
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node

RECORDS: Path = EVENTS / "records"
SAVED: dict[str, Any] = json.loads((RECORDS / "version_0_1_table.json").read_text())
COMMANDS: list[dict[str, Any]] = json.loads((RECORDS / "version_0_1_commands.json").read_text())


class SavedHosts(FakeHosts):
    """Hosts that answer for the commands of version 0.1 too."""

    def fetch_answer(self, command: str, manager: str) -> Answer:
        for row in COMMANDS:
            if (row["command"], row["instance"]) == (command, manager):
                return Answer(row["status"], row["comment"], row["output"])
        return super().fetch_answer(command, manager)


@dataclass
class Upgrade:
    """A deployment that took over from version 0.1 just now."""

    lab: Lab
    world: World

    def tick(self) -> list[str]:
        self.lab.clock.sleep(60)
        return handle(Tick, {}, self.world)

    def end(self, command: str, manager: str) -> list[str]:
        """Let the event of a command's end arrive."""
        now = self.lab.clock.time + 1
        payload = sample("ssm_invocation_success", now, command_id=command, instance_id=manager)
        return handle(InvocationEnded, payload, self.world)

    def node(self, name: str) -> Node:
        node = self.world.nodes.get("blue", name)
        assert node is not None
        return node

    def job(self, task: str) -> Job:
        return next(job for job in self.world.jobs.list_all("blue") if job.task.value == task)


def upgrade(client: DynamoDBClient) -> Upgrade:
    """Put the saved items into an empty table, and today's handlers on it."""
    for item in SAVED["items"]:
        client.put_item(TableName=TABLE, Item=item)
    lab = Lab(workers=0, settled=False)
    lab.clock.time = SAVED["now"]
    lab.hosts = SavedHosts(lab.clock, count=1000)
    lab.ec2.instances = {row["instance"]: _discovered(row) for row in SAVED["instances"]}
    wiring._world.cache_clear()  # noqa: SLF001
    real = wiring.connected()
    fake = lab.world(timeouts=Timeouts(hedge_s=0.0, inspection_period_s=0.0))
    outside = {name: getattr(fake, name) for name in ("hosts", "ec2", "autoscaling", "messages", "clock")}
    return Upgrade(lab, replace(real, timeouts=fake.timeouts, **outside))


def _discovered(row: dict[str, Any]) -> DiscoveredInstance:
    typed = {"role": Role(row["role"]), "state": InstanceState(row["state"])}
    return DiscoveredInstance(**{**row, **typed})
