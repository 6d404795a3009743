"""A swarm that nodes are activated in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bootstrap.engine.node import Membership
from bootstrap.tasks import activate
from chalicelib.protocol.messages import Arguments, Result, Target
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance

ENGINE = {"swarmkeeper.zone": "us-east-1b", "swarmkeeper.lifecycle": "spot", "other": "not ours"}
RECORD = Target("", "", zone="us-east-1b", kind="c5.large", lifecycle="spot", role="worker")  # as EC2 has it
CLUSTER = {"swarmkeeper.cluster": "blue"}


class Swarm(FakeSwarm):
    """With what a manager's engine knows of others; ``strangers`` are addresses that it does not."""

    strangers: frozenset[str] = frozenset()

    def peers(self, network: str = "ingress") -> frozenset[str] | None:
        assert network == "ingress"
        return frozenset(node.address for node in self.nodes()) - self.strangers

    def membership(self) -> Membership:
        addresses = frozenset(node.address for node in self.nodes() if node.role == "manager")
        return Membership("active", "n01", True, addresses)


def joined(swarm: FakeSwarm, node: str, number: int, **labels: str) -> str:
    swarm.node_rows[node]["Spec"]["Availability"] = "drain"
    engine = {"swarmkeeper.instance": instance(number), **ENGINE, **labels}
    swarm.node_rows[node]["Description"]["Engine"]["Labels"] = engine
    return node


def was(swarm: FakeSwarm, node: str, number: int) -> str:
    """Let a node be one that an activation has labelled as that of the instance."""
    swarm.node_rows[node]["Spec"]["Labels"] = {"swarmkeeper.instance": instance(number)}
    return node


def target(node: str, number: int = 6, **record: str) -> Target:
    shown = {"instance": instance(number), "address": f"10.0.0.{number}", "node": node}
    return replace(RECORD, **(shown | record))  # type: ignore[arg-type]


def run(swarm: FakeSwarm, *nodes: str, number: int = 6, **record: str) -> Result:
    targets = tuple(target(node, number, **record) for node in nodes)
    return activate.run(swarm, Arguments(targets, labels=CLUSTER), swarm.clock)


def spec(swarm: FakeSwarm, node: str) -> dict[str, Any]:
    found: dict[str, Any] = swarm.node_rows[node]["Spec"]
    return found
