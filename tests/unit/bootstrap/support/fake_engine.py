"""The engine API of a swarm in memory: its rows, and what it answers and changes."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from bootstrap.engine.client import Config, ConflictError, Engine, RefusedError
from bootstrap.engine.decode import read_node, read_service, read_task
from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.task import Task


def copied(row: Any) -> Any:
    """Copy what an engine answers; pickle does so five times faster than deepcopy."""
    return pickle.loads(pickle.dumps(row))  # noqa: S301 - its own


def _task(row: dict[str, Any]) -> Task:
    return _read_task(pickle.dumps(row))


@lru_cache(maxsize=10_000)
def _read_task(row: bytes) -> Task:
    """Read a row once for as long as it stays the same: most do so from step to step."""
    return read_task(pickle.loads(row))  # noqa: S301 - its own


class FakeEngine(Engine):
    """The engine of its first manager; what comes of a change is the orchestrator's, in fake_swarm.py."""

    def __init__(self, managers: int = 1, workers: int = 3) -> None:
        self.time = 1_000_000.0
        self.node_rows: dict[str, dict[str, Any]] = {}
        self.service_rows: dict[str, dict[str, Any]] = {}
        self.task_rows: dict[str, dict[str, Any]] = {}
        self.config_rows: dict[str, dict[str, Any]] = {}
        self.counter = itertools.count(1)
        for number in range(managers + workers):
            self.add_node("manager" if number < managers else "worker")

    # what the swarm is made of

    def add_node(self, role: str = "worker", **labels: str) -> str:
        number = next(self.counter)
        node = f"n{number:02}"
        manager = {"Reachability": "reachable", "Leader": number == 1, "Addr": f"10.0.0.{number}:2377"}
        self.node_rows[node] = {
            "ID": node,
            "Version": {"Index": 1},
            "Spec": {"Role": role, "Availability": "active", "Labels": labels},
            "Status": {"State": "ready", "Addr": f"10.0.0.{number}"},
            "Description": {
                "Hostname": f"host-{number:02}",
                "Engine": {"Labels": {"swarmkeeper.instance": instance(number)}},
                "Platform": {"OS": "linux", "Architecture": "x86_64"},
                "Resources": {"NanoCPUs": 4_000_000_000, "MemoryBytes": 8 << 30},
            },
            **({"ManagerStatus": manager} if role == "manager" else {}),
        }
        return node

    def add_service(self, name: str, replicas: int | None = 2, **spec: Any) -> str:
        mode: dict[str, Any] = {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}}
        template = {"ContainerSpec": {"Image": "web:1"}, "Placement": {}, **spec.pop("template", {})}
        self.service_rows[name] = {
            "ID": name,
            "Version": {"Index": 1},
            "Spec": {"Name": name, "Labels": {}, "TaskTemplate": template, "Mode": mode, **spec},
        }
        return name

    def avail(self, node: str, availability: str) -> None:
        """Do what ``docker node update --availability`` does."""
        self.node_rows[node]["Spec"]["Availability"] = availability
        self.node_rows[node]["Version"]["Index"] += 1

    def scale(self, service: str, replicas: int) -> None:
        """Do what ``docker service scale`` does."""
        row = self.service_rows[service]
        row["PreviousSpec"] = copied(row["Spec"])
        row["Spec"]["Mode"]["Replicated"]["Replicas"] = replicas
        row["Version"]["Index"] += 1

    def spread(self, service: str) -> dict[str, int]:
        """Count running tasks by node."""
        return dict(sorted(Counter(task.node for task in self.of(service) if task.is_running).items()))

    def cut(self, node: str) -> None:
        """Cut a node's power; the swarm calls it down at once here."""
        self.node_rows[node]["Status"]["State"] = "down"

    def spec(self, service: str) -> dict[str, Any]:
        spec: dict[str, Any] = copied(self.service_rows[service]["Spec"])
        return spec

    def running(self, service: str) -> int:
        """Count the tasks that run on nodes that are not down."""
        return sum(
            task.is_running and self.node_rows[task.node]["Status"]["State"] != "down"
            for task in self.of(service)
        )

    def on(self, node: str) -> list[Task]:
        rows = (row for row in self.task_rows.values() if row["NodeID"] == node)
        return [task for task in map(_task, rows) if task.is_present]

    def of(self, service: str) -> list[Task]:
        return [_task(row) for row in self.task_rows.values() if row["ServiceID"] == service]

    def rows(self) -> tuple[Task, ...]:
        """All tasks, without asking the engine."""
        return tuple(map(_task, self.task_rows.values()))

    # what the engine answers

    @property
    def has_answered(self) -> bool:
        return True

    def is_alive(self) -> bool:
        return True

    def node_id(self) -> str:
        return "n01"

    def nodes(self) -> tuple[Node, ...]:
        return tuple(read_node(copied(row)) for row in self.node_rows.values())

    def services(self) -> tuple[Service, ...]:
        return tuple(read_service(copied(row)) for row in self.service_rows.values())

    def tasks(self, **filters: list[str]) -> tuple[Task, ...]:
        return tuple(
            task for task in self.rows() if all(getattr(task, key) in ids for key, ids in filters.items())
        )

    def update_node(self, node: Node, **changes: Any) -> None:
        if changes.get("Role") == "worker" and node.role == "manager" and not node.has_vote:
            raise RefusedError("can't find manager in raft memberlist")
        self._change(self.node_rows[node.id], node.version, {**node.spec, **changes})
        row = self.node_rows[node.id]
        if row["Spec"]["Role"] == "worker":
            row.pop("ManagerStatus", None)

    def config(self, name: str) -> Config | None:
        row = copied(self.config_rows.get(name))
        return Config(row["ID"], row["Version"]["Index"], row["Spec"]) if row else None

    def create_config(self, name: str, labels: Mapping[str, str]) -> None:
        if name in self.config_rows:
            raise RefusedError(f"config {name} already exists")
        spec = {"Name": name, "Labels": dict(labels)}
        self.config_rows[name] = {"ID": name, "Version": {"Index": 1}, "Spec": spec}

    def update_config(self, config: Config, labels: Mapping[str, str]) -> None:
        self._change(self.config_rows[config.id], config.version, {**config.spec, "Labels": dict(labels)})

    def remove_node(self, node: Node, *, force: bool = False) -> None:
        if not (node.is_down or force) or node.has_vote:
            raise RefusedError(f"node {node.id} is not down and is still a member of the swarm")
        del self.node_rows[node.id]

    def _change(self, row: dict[str, Any], version: int, spec: dict[str, Any]) -> None:
        if row["Version"]["Index"] != version:
            raise ConflictError("update out of sequence")
        row["PreviousSpec"], row["Spec"] = row["Spec"], spec
        row["Version"] = {"Index": version + 1}


def instance(number: int) -> str:
    """Name the instance id of the numbered node."""
    return f"i-{number:017x}"
