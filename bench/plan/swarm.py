"""A swarm of any size to plan for: always the same one, with every placement rule in use."""

from __future__ import annotations

import random
from typing import Any

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.planning.plan import OPT_IN_LABEL

SEED = 4
TASKS = 10  # for each node
REPLICAS = 100  # of a service, on average
FRESH = 25  # one node in so many has just joined and is empty
POOLS = 10  # node.labels.pool: half of the services are bound to one
ZONES = 3
PACKED = 8  # tasks of an opted-in service on one node, before
CPU = 1_000_000_000
MIB = 1 << 20


def grown(size: int) -> Snapshot:
    """Make a swarm of so many nodes, into which the last ones have just come."""
    chance = random.Random(SEED)  # noqa: S311 - the same swarm each time
    nodes = [_node(at) for at in range(size)]
    services = [_service(at, chance) for at in range(max(3, size * TASKS // REPLICAS))]
    old = nodes[: size - size // FRESH]
    pools = {pool: [node for node in old if node.labels["pool"] == pool] for pool in map(str, range(POOLS))}
    tasks: list[Task] = []
    for service in services:
        bound = service.placement["Constraints"]
        tasks += _tasks(service, pools[bound[0][-1]] if bound else old, chance)
    return Snapshot(tuple(nodes), tuple(services), tuple(tasks))


def _node(at: int) -> Node:
    labels = {"pool": str(at % POOLS), "zone": f"zone-{at % ZONES}"}
    return Node(
        id=f"node-{at:05}",
        version=1,
        spec={"Availability": "pause" if at % 97 == 0 else "active", "Labels": labels},
        state="ready",
        address=f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}",
        hostname=f"ip-10-{at >> 16}-{at >> 8 & 255}-{at & 255}",
        engine_labels={},
        platform=("linux", "x86_64"),
        cpus=16 * CPU,
        memory=65_536 * MIB,
        generic={"gpu": 8} if at % 5 == 0 else {},
    )


def _service(at: int, chance: random.Random) -> Service:
    placement: dict[str, Any] = {
        "Constraints": [f"node.labels.pool=={at % POOLS}"] if at % 2 else [],
        "Platforms": [{"OS": "linux", "Architecture": "amd64"}],
        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}] if not at % 9 else [],
    }
    if not at % 5:
        placement["MaxReplicas"] = PACKED
    reserved = {"NanoCPUs": CPU // 20, "MemoryBytes": 64 * MIB} if not at % 2 else {}
    spec = {
        "Name": f"service-{at:04}",
        "Labels": {OPT_IN_LABEL: "true"} if at % 3 == 0 else {},
        "Mode": {"Replicated": {"Replicas": chance.randint(REPLICAS // 2, REPLICAS * 3 // 2)}},
        "TaskTemplate": {"Placement": placement, "Resources": {"Reservations": reserved}},
    }
    return Service(f"id-{at:04}", 1, spec, "")


def _tasks(service: Service, nodes: list[Node], chance: random.Random) -> list[Task]:
    """Opted-in services are packed on few nodes, the others stand anywhere."""
    few = -(-service.replicas // PACKED)
    homes = [chance.choice(nodes) for _ in range(few)]
    packed = OPT_IN_LABEL in service.labels
    return [
        Task(
            f"{service.id}-{slot}",
            service.id,
            (homes[slot % few] if packed else chance.choice(nodes)).id,
            slot,
            "running",
            "running",
        )
        for slot in range(1, service.replicas + 1)
    ]
