"""A cluster whose swarm is inspected by the tick, and what its managers list."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.protocol.messages import AgentTask, Listing, Result, Target
from tests.unit.chalicelib.support.fakes import MANAGERS, Lab
from tests.unit.chalicelib.support.stories import tick


def a_lab() -> Lab:
    """Have a cluster whose tick inspects its swarm, and whose records know their nodes."""
    lab = Lab(inspection_period_s=300.0)
    for key, node in lab.nodes.records.items():
        lab.nodes.records[key] = replace(node, node=f"node{node.instance[-3:]}")
    shows(lab)
    return lab


def shows(lab: Lab, *missing: str, down: tuple[str, ...] = ()) -> None:
    """Have the managers list all nodes but the missing ones."""
    names = [f"node{name[-3:]}" for name in lab.ec2.instances if name not in missing]
    dead = tuple(Target(name, "10.0.0.99", f"node{name[-3:]}") for name in down)
    voters = tuple(f"node{name[-3:]}" for name in MANAGERS if name not in missing)
    listing = Listing(len(names), dead, ids=tuple(names), managers=voters)
    lab.hosts.answers[AgentTask.INSPECT] = Result(AgentTask.INSPECT, ok=True, listing=listing)


def ticks(lab: Lab, minutes: int) -> None:
    for _ in range(minutes):
        tick(lab)
