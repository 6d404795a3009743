"""A small swarm in memory with the habits of swarmkit that its movers live by, each measured.

* a drained or dead node's tasks are stopped at once, their replacements come after (moby 34139);
* a start-first update replaces only tasks that do not fit the new spec, each once its successor runs;
* an update that comes while a successor still starts stops the old task at once: that is the dip to avoid;
* a scale-up puts tasks where the service has the fewest; a scale-down takes slots without a node or with two
  tasks first, then the highest copies on their nodes, whether those run or not;
* a forced update replaces every task, at the service's own parallelism; any other update resets UpdateStatus;
* every change needs the current version.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bootstrap.clock import Clock
from bootstrap.placement import may_hold, room
from bootstrap.reading import read_node, read_service, read_task
from bootstrap.swarm import Config, ConflictError, Engine, RefusedError
from bootstrap.view import Node, Service, Snapshot, Task

STEP = 0.25  # seconds
START_STEPS = 8  # a task runs 2 s after it was assigned
STOP_STEPS = 4  # and is gone 1 s after it was told to stop


class FakeSwarm(Engine):
    """The engine of its first manager; time passes only while its ``clock`` sleeps."""

    def __init__(self, managers: int = 1, workers: int = 3) -> None:
        self.time = 1_000_000.0
        self.clock = Clock(now=lambda: self.time, sleep=self.sleep)
        self.node_rows: dict[str, dict[str, Any]] = {}
        self.service_rows: dict[str, dict[str, Any]] = {}
        self.task_rows: dict[str, dict[str, Any]] = {}
        self.config_rows: dict[str, dict[str, Any]] = {}
        self.counter = itertools.count(1)
        self.sick: set[str] = set()  # nodes on which tasks start, but never come to run
        self.crashing: set[str] = set()  # nodes on which tasks run for a moment, again and again
        self.updates: list[str] = []
        self.fewest: dict[str, int] = {}
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
        self.settle()
        return name

    def avail(self, node: str, availability: str) -> None:
        """What ``docker node update --availability`` does."""
        self.node_rows[node]["Spec"]["Availability"] = availability
        self.node_rows[node]["Version"]["Index"] += 1

    def scale(self, service: str, replicas: int) -> None:
        """What ``docker service scale`` does."""
        row = self.service_rows[service]
        row["Spec"]["Mode"]["Replicated"]["Replicas"] = replicas
        row["Version"]["Index"] += 1

    def spread(self, service: str) -> dict[str, int]:
        """Running tasks by node."""
        return dict(sorted(Counter(task.node for task in self.of(service) if task.running).items()))

    def settle(self, steps: int = 40) -> None:
        for _ in range(steps):
            self.step()
        self.fewest.clear()

    def cut(self, node: str) -> None:
        """Cut a node's power; the swarm calls it down at once here."""
        self.node_rows[node]["Status"]["State"] = "down"

    def spec(self, service: str) -> dict[str, Any]:
        return copy.deepcopy(self.service_rows[service]["Spec"])

    def running(self, service: str) -> int:
        return sum(task.running and not self._node(task).down for task in self.of(service))

    def on(self, node: str) -> list[Task]:
        return [task for task in self.tasks() if task.node == node and task.present]

    def of(self, service: str) -> list[Task]:
        return [task for task in self.tasks() if task.service == service]

    # what the engine answers

    def node_id(self) -> str:
        return "n01"

    def nodes(self) -> tuple[Node, ...]:
        return tuple(read_node(copy.deepcopy(row)) for row in self.node_rows.values())

    def services(self) -> tuple[Service, ...]:
        return tuple(read_service(copy.deepcopy(row)) for row in self.service_rows.values())

    def tasks(self, **filters: list[str]) -> tuple[Task, ...]:
        tasks = (read_task(row) for row in self.task_rows.values())
        return tuple(task for task in tasks if all(getattr(task, key) in ids for key, ids in filters.items()))

    def update_node(self, node: Node, **changes: Any) -> None:
        if changes.get("Role") == "worker" and node.role == "manager" and not node.votes:
            raise RefusedError("can't find manager in raft memberlist")
        self._change(self.node_rows[node.id], node.version, {**node.spec, **changes})
        row = self.node_rows[node.id]
        if row["Spec"]["Role"] == "worker":
            row.pop("ManagerStatus", None)

    def update_service(self, service: Service, spec: dict[str, Any]) -> None:
        assert "Placement" in spec["TaskTemplate"], "a real manager crashes here (moby 37883)"
        row = self.service_rows[service.id]
        self._change(row, service.version, copy.deepcopy(spec))
        self.updates.append(service.id)
        row.pop("UpdateStatus", None)
        if any(task.wanted and not self._fits(task) for task in self.of(service.id)):
            row["UpdateStatus"] = {"State": "updating", "ours": True}
        for slot in self._slots(service.id).values():
            fresh = [task for task in slot if self._fits(task)]
            if fresh and not any(task.running for task in fresh):
                for task in slot:
                    if not self._fits(task):
                        self._stop(task)

    def config(self, name: str) -> Config | None:
        row = copy.deepcopy(self.config_rows.get(name))
        return Config(row["ID"], row["Version"]["Index"], row["Spec"]) if row else None

    def create_config(self, name: str, labels: Mapping[str, str]) -> None:
        if name in self.config_rows:
            raise RefusedError(f"config {name} already exists")
        spec = {"Name": name, "Labels": dict(labels)}
        self.config_rows[name] = {"ID": name, "Version": {"Index": 1}, "Spec": spec}

    def update_config(self, config: Config, labels: Mapping[str, str]) -> None:
        self._change(self.config_rows[config.id], config.version, {**config.spec, "Labels": dict(labels)})

    def remove_node(self, node: Node) -> None:
        if not node.down or node.votes:
            raise RefusedError(f"node {node.id} is not down and is still a member of the swarm")
        del self.node_rows[node.id]

    # what swarmkit does as time passes

    def sleep(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / STEP))):
            self.step()

    def step(self) -> None:
        self.time += STEP
        for row in self.task_rows.values():
            self._age(row)
        for service in self.services():
            self._orchestrate(service)
        for service in self.services():
            if service.replicated:
                seen = self.running(service.id)
                self.fewest[service.id] = min(seen, self.fewest.get(service.id, seen))

    def _orchestrate(self, service: Service) -> None:
        for task in self.of(service.id):
            if task.wanted and task.node and self._stopped_by_node(task):
                self._stop(task)
        if service.is_global:
            held = {task.node for task in self.of(service.id) if task.wanted}
            for node in self.nodes():
                if node.id not in held and may_hold(node, service):
                    self._start(service, 0, node.id)
        elif service.replicated:
            self._replicate(service, self._slots(service.id))

    def _replicate(self, service: Service, slots: dict[int, list[Task]]) -> None:
        for slot in self._surplus(slots, service.replicas):
            for task in slots.pop(slot):
                self._stop(task)
        unused = (slot for slot in itertools.count(1) if slot not in slots)
        slots |= {slot: [] for slot in itertools.islice(unused, max(0, service.replicas - len(slots)))}
        free = self._parallelism(service) - sum(not self._at_rest(tasks) for tasks in slots.values())
        for slot, tasks in sorted(slots.items()):
            dirty = self._at_rest(tasks) and not self._fits(tasks[0])
            if not dirty or free > 0:
                self._fill(service, slot, tasks)
            free -= dirty
        self._complete(service, slots)

    def _parallelism(self, service: Service) -> float:
        config = service.spec.get("UpdateConfig")
        return (1 if config is None else config.get("Parallelism", 1)) or float("inf")

    def _at_rest(self, tasks: list[Task]) -> bool:
        return len(tasks) == 1 and tasks[0].running

    def _complete(self, service: Service, slots: dict[int, list[Task]]) -> None:
        status = self.service_rows[service.id].get("UpdateStatus", {})
        if "ours" in status and all(self._at_rest(slot) and self._fits(slot[0]) for slot in slots.values()):
            status["State"] = "completed"

    def _surplus(self, slots: dict[int, list[Task]], replicas: int) -> list[int]:
        """The slots that a scale-down stops, after swarmkit's replicated orchestrator."""
        copies: Counter[str] = Counter()
        ranks: dict[int, float] = {}
        running_first = sorted(
            slots, key=lambda slot: not any(task.state == "running" for task in slots[slot])
        )
        for slot in running_first:
            node = slots[slot][0].node
            copies[node] += 1
            ranks[slot] = copies[node] if len(slots[slot]) == 1 and node else float("inf")
        return sorted(running_first, key=lambda slot: ranks[slot])[replicas:]

    def _fill(self, service: Service, slot: int, tasks: list[Task]) -> None:
        fresh = [task for task in tasks if self._fits(task)]
        for task in tasks:
            stop_first = service.update_config.get("Order", "stop-first") == "stop-first"
            if task not in fresh and (stop_first or any(other.running for other in fresh)):
                self._stop(task)
        if not fresh:
            self._start(service, slot, "")
        for task in fresh:
            if not task.node and (node := self._place(service)):
                self.task_rows[task.id].update(NodeID=node, age=0)

    def _place(self, service: Service) -> str:
        snapshot = Snapshot(self.nodes(), self.services(), self.tasks())
        fitting = [
            node.id
            for node in snapshot.nodes
            if room(service, snapshot, without={other.id for other in snapshot.nodes} - {node.id}) > 0
        ]
        own = Counter(task.node for task in self.of(service.id) if task.wanted)
        return min(fitting, key=lambda node: (own[node], len(self.on(node)), node), default="")

    def _start(self, service: Service, slot: int, node: str) -> None:
        key = f"t{next(self.counter):04}"
        self.task_rows[key] = {
            "ID": key,
            "ServiceID": service.id,
            "NodeID": node,
            "Slot": slot,
            "Status": {"State": "pending"},
            "DesiredState": "running",
            "CreatedAt": self._stamp(),
            "age": 0,
            "template": _template(service),
        }

    def _stamp(self) -> str:
        moment = datetime.fromtimestamp(self.time, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _age(self, row: dict[str, Any]) -> None:
        row["age"] += 1
        if self.node_rows.get(row["NodeID"], {}).get("Status", {}).get("State") == "down":
            return
        if row["DesiredState"] == "shutdown" and row["age"] >= STOP_STEPS:
            self._enter(row, "shutdown" if row["Status"]["State"] != "failed" else "failed")
        elif row["DesiredState"] == "running" and row["NodeID"]:
            if row["NodeID"] in self.crashing and row["age"] > START_STEPS + 1:
                self._enter(row, "failed")
                row["DesiredState"] = "shutdown"
            else:
                runs = row["age"] >= START_STEPS and row["NodeID"] not in self.sick
                self._enter(row, "running" if runs else "starting")

    def _enter(self, row: dict[str, Any], state: str) -> None:
        if row["Status"]["State"] != state:
            row["Status"] = {"State": state, "Timestamp": self._stamp()}

    def _stop(self, task: Task) -> None:
        row = self.task_rows[task.id]
        if row["DesiredState"] != "shutdown":
            row.update(DesiredState="shutdown", age=0)

    def _slots(self, service: str) -> dict[int, list[Task]]:
        slots: dict[int, list[Task]] = {}
        for task in self.of(service):
            if task.wanted:
                slots.setdefault(task.slot, []).append(task)
        return slots

    def _fits(self, task: Task) -> bool:
        service = read_service(self.service_rows[task.service])
        excluded = f"node.id!={task.node}" in (service.placement.get("Constraints") or [])
        return not excluded and self.task_rows[task.id]["template"] == _template(service)

    def _stopped_by_node(self, task: Task) -> bool:
        node = self._node(task)
        return node.down or node.availability == "drain"

    def _node(self, task: Task) -> Node:
        return read_node(self.node_rows[task.node])

    def _change(self, row: dict[str, Any], version: int, spec: dict[str, Any]) -> None:
        if row["Version"]["Index"] != version:
            raise ConflictError("update out of sequence")
        row["Spec"] = spec
        row["Version"] = {"Index": version + 1}


def _template(service: Service) -> tuple[Any, ...]:
    """What of a spec makes Swarm replace a task."""
    return service.template.get("ContainerSpec"), service.template.get("ForceUpdate", 0)


def instance(number: int) -> str:
    """The instance id of the numbered node."""
    return f"i-{number:017x}"
