"""Small swarms as values, for tests of what is decided over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task

CPU = 1_000_000_000
MEMORY = 8 << 30

Counts = Mapping[str, int]  # tasks by node id


@dataclass(frozen=True)
class Machine:
    """What tells one node from another; ``cpus`` are whole ones. One with a ``doom`` is paused."""

    availability: str = "active"
    state: str = "ready"
    cpus: int = 4
    gpus: int = 0
    zone: str = ""
    rack: str = ""
    disk: str = "ssd"
    evacuation_deadline: str = ""


def node(key: str, machine: Machine) -> Node:
    """Make the node of that id and host name; labels that are "" are left out."""
    labels = {
        "zone": machine.zone,
        "disk": machine.disk,
        EVACUATION_DEADLINE_LABEL: machine.evacuation_deadline,
    }
    return Node(
        id=key,
        version=1,
        spec={
            "Availability": "pause" if machine.evacuation_deadline else machine.availability,
            "Labels": {name: value for name, value in labels.items() if value},
        },
        state=machine.state,
        address="10.0.0.1",
        hostname=key,
        engine_labels={"rack": machine.rack} if machine.rack else {},
        platform=("linux", "x86_64"),
        cpus=machine.cpus * CPU,
        memory=MEMORY,
        generic={"gpu": machine.gpus},
    )


def service(
    name: str,
    replicas: int,
    constraints: Iterable[str] = (),
    most: int = 0,
    preferences: Iterable[str] = (),
    **settings: Any,
) -> Service:
    """Make a replicated service; ``cpus`` and ``gpus`` are reserved, ``port`` is a host port, 0 for none."""
    resources = {
        "NanoCPUs": settings.get("cpus", 0) * CPU,
        "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": settings.get("gpus", 0)}}],
    }
    placement = {
        "Constraints": list(constraints),
        "MaxReplicas": most,
        "Preferences": [{"Spread": {"SpreadDescriptor": one}} for one in preferences],
    }
    port = settings.get("port", 0)
    ports = [{"PublishMode": "host", "PublishedPort": port, "TargetPort": 80}] if port else []
    spec = {
        "Name": name,
        "Labels": settings.get("labels", {}),
        "Mode": settings.get("mode", {"Replicated": {"Replicas": replicas}}),
        "TaskTemplate": {"Placement": placement, "Resources": {"Reservations": resources}},
        "EndpointSpec": {"Ports": ports},
    }
    return Service(name, 1, spec, settings.get("update", ""))


def snapshot(
    machines: Mapping[str, Machine], services: Iterable[Service], counts: Mapping[str, Counts]
) -> Snapshot:
    """Make the swarm in which the services' tasks (by service id, then by node id) all run."""
    nodes = tuple(node(key, machine) for key, machine in machines.items())
    return Snapshot(nodes, tuple(services), stand(counts))


def stand(counts: Mapping[str, Counts]) -> tuple[Task, ...]:
    """Make running tasks."""
    return tuple(
        Task(f"{key}-{where}-{at}", key, where, at, "running", "running")
        for key, by_node in counts.items()
        for at, where in enumerate(
            (where for where, number in by_node.items() for _ in range(number)), start=1
        )
    )
