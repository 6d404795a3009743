"""A small swarm in memory with the habits of swarmkit that its movers live by, each measured.

* a drained or dead node's tasks are stopped at once, their replacements come after (moby 34139);
* a start-first update replaces only tasks that do not fit the new spec, each once its successor runs;
* an update that comes while a successor still starts stops the old task at once: that is the dip to avoid;
* tasks are placed in swarmkit's order: of 9/0/0 and six more it makes 9/5/1, and with placement preferences
  each goes to the group with the fewest, whatever the nodes hold;
* a scale-down takes slots without a node or with two tasks first, then the highest copies on their nodes,
  whether those run or not;
* a forced update replaces every task, at the service's own parallelism; any other update resets UpdateStatus;
* every change needs the current version.
"""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from bootstrap.clock import Clock
from bootstrap.engine.client import EngineError
from bootstrap.engine.decode import read_node, read_service
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.placement.capacity import SwarmCapacity
from bootstrap.placement.constraints import can_hold
from bootstrap.planning.candidates import group_path
from tests.unit.bootstrap.support.fake_engine import FakeEngine, copied, instance

__all__ = ["FakeSwarm", "instance"]

STEP = 0.25  # seconds
START_STEPS = 8  # a task runs 2 s after it was assigned
STOP_STEPS = 4  # and is gone 1 s after it was told to stop


class FakeSwarm(FakeEngine):
    """A swarm whose time passes only while its ``clock`` sleeps."""

    def __init__(self, managers: int = 1, workers: int = 3) -> None:
        super().__init__(managers, workers)
        self.clock = Clock(now=lambda: self.time, sleep=self.sleep)
        self.sick: set[str] = set()  # nodes on which tasks start, but never come to run
        self.crashing: set[str] = set()  # nodes on which tasks run for a moment, again and again
        self.done: set[str] = set()  # tasks that have ended and are not to run again
        self.ahead = 0.0  # seconds by which the leader's clock is before all others
        self.skews: dict[str, float] = {}  # seconds by which nodes' clocks are before all others
        self.refusals = 0  # updates of services that the engine refuses, as without a leader
        self.updates: list[str] = []
        self.fewest: dict[str, int] = {}
        self.ages: Counter[str] = Counter()  # steps since a task was made, placed or told to stop
        self.calm = b""  # all rows as they stood when there was nothing to do
        self.serving: dict[str, int] = {}

    def add_service(self, name: str, replicas: int | None = 2, **spec: Any) -> str:
        super().add_service(name, replicas, **spec)
        self.settle()
        return name

    def settle(self, steps: int = 40) -> None:
        for _ in range(steps):
            self.step()
        self.fewest.clear()

    def update_service(self, service: Service, spec: dict[str, Any]) -> None:
        assert "Placement" in spec["TaskTemplate"], "a real manager crashes here (moby 37883)"
        if self.refusals:
            self.refusals -= 1
            raise EngineError("The swarm does not have a leader")
        row = self.service_rows[service.id]
        self._change(row, service.version, copied(spec))
        self.updates.append(service.id)
        row.pop("UpdateStatus", None)
        changed = read_service(row)
        if any(task.is_wanted and not self._fits(task, changed) for task in self.of(service.id)):
            row["UpdateStatus"] = {"State": "updating", "ours": True}
        for slot in self._slots(service.id).values():
            fresh = [task for task in slot if self._fits(task, changed)]
            if fresh and not any(task.is_running for task in fresh):
                for task in slot:
                    if not self._fits(task, changed):
                        self._stop(task)

    # what swarmkit does as time passes

    def sleep(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / STEP))):
            self.step()

    def step(self) -> None:
        self.time += STEP
        for row in self.task_rows.values():
            self._age(row)
        if (before := self._all_rows()) != self.calm:
            self._orchestrate_all()
            self.calm = before if self._all_rows() == before else b""
        for service, seen in self.serving.items():
            self.fewest[service] = min(seen, self.fewest.get(service, seen))

    def _all_rows(self) -> bytes:
        """Show all that the orchestrator goes by: as long as it is the same, there is nothing to do."""
        return pickle.dumps((self.node_rows, self.service_rows, self.task_rows, self.done))

    def _orchestrate_all(self) -> None:
        services = [read_service(row) for row in self.service_rows.values()]
        for service in services:
            self._orchestrate(service)
        self.serving = {one.id: self.running(one.id) for one in services if one.is_replicated}

    def _orchestrate(self, service: Service) -> None:
        for task in self.of(service.id):
            if task.is_wanted and task.node and self._stopped_by_node(task):
                self._stop(task)
        if service.is_global:
            held = {task.node for task in self.of(service.id) if task.is_wanted}
            for node, row in self.node_rows.items():
                if node not in held and can_hold(read_node(row), service):
                    self._start(service, 0, node)
        elif service.is_replicated:
            self._replicate(service, self._slots(service.id))

    def _replicate(self, service: Service, slots: dict[int, list[Task]]) -> None:
        for slot in self._surplus(slots, service.replicas):
            for task in slots.pop(slot):
                self._stop(task)
        done = {task.slot for task in self.of(service.id) if task.id in self.done} - set(slots)
        unused = (slot for slot in itertools.count(1) if slot not in {*slots, *done})
        more = max(0, service.replicas - len(slots) - len(done))
        slots |= {slot: [] for slot in itertools.islice(unused, more)}
        free = self._parallelism(service) - sum(not self._at_rest(tasks) for tasks in slots.values())
        for slot, tasks in sorted(slots.items()):
            dirty = self._at_rest(tasks) and not self._fits(tasks[0], service)
            if not dirty or free > 0:
                self._fill(service, slot, tasks)
            free -= dirty
        self._schedule(service)
        self._complete(service, slots)

    def _parallelism(self, service: Service) -> float:
        config = service.spec.get("UpdateConfig")
        return (1 if config is None else config.get("Parallelism", 1)) or float("inf")

    def _at_rest(self, tasks: list[Task]) -> bool:
        return len(tasks) == 1 and tasks[0].is_running

    def _complete(self, service: Service, slots: dict[int, list[Task]]) -> None:
        status = self.service_rows[service.id].get("UpdateStatus", {})
        if "ours" in status and all(
            self._at_rest(slot) and self._fits(slot[0], service) for slot in slots.values()
        ):
            status["State"] = "completed"

    def _surplus(self, slots: dict[int, list[Task]], replicas: int) -> list[int]:
        """Choose the slots that a scale-down stops, after swarmkit's replicated orchestrator."""
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
        fresh = [task for task in tasks if self._fits(task, service)]
        for task in tasks:
            stop_first = service.update_config.get("Order", "stop-first") == "stop-first"
            if task not in fresh and (stop_first or any(other.is_running for other in fresh)):
                self._stop(task)
        if not fresh:
            self._start(service, slot, "")

    def _schedule(self, service: Service) -> None:
        """Give nodes to the tasks that have none, all at once, in swarmkit's own order."""
        wanted = [task for task in self.of(service.id) if task.is_wanted]
        waiting = [task for task in wanted if not task.node and self._fits(task, service)]
        if not waiting:
            return
        snapshot = Snapshot(self.nodes(), self.services(), self.rows())
        capacity, own = SwarmCapacity(snapshot), Counter(task.node for task in wanted)
        fit = (node.id for node in snapshot.nodes if can_hold(node, service))
        room = {node: capacity.room(node, service.id) for node in fit}
        others = {node: len(self.on(node)) - own[node] for node in room}
        if service.spread_over:
            self._spread_over(service, waiting, own, room)
            return
        nodes = sorted(room, key=lambda node: (own[node], others[node] + own[node], node))[: len(waiting)]
        at = 0
        for task in waiting:
            if not (free := [node for node in nodes if room[node] > 0]):
                return
            node = free[at % len(free)]
            own[node] += 1
            room[node] -= 1
            self._place(task, node)
            following = free[(at + 1) % len(free)]
            if at + 1 >= len(free) or own[following] < own[node]:
                at += 1

    def _spread_over(
        self, service: Service, waiting: list[Task], own: Counter[str], room: dict[str, float]
    ) -> None:
        """Each to the group with the fewest, then to the node with the fewest in it."""
        zones = {node.id: group_path(node, service.spread_over) for node in self.nodes()}
        for task in waiting:
            totals = Counter(zones[node] for node in own.elements() if node)
            free = [node for node, left in room.items() if left > 0]
            if free:
                node = min(free, key=lambda node: (totals[zones[node]], own[node], node))
                own[node] += 1
                room[node] -= 1
                self._place(task, node)

    def _place(self, task: Task, node: str) -> None:
        self.task_rows[task.id]["NodeID"] = node
        self.ages[task.id] = 0

    def _start(self, service: Service, slot: int, node: str) -> None:
        key = f"t{next(self.counter):04}"
        self.task_rows[key] = {
            "ID": key,
            "ServiceID": service.id,
            "NodeID": node,
            "Slot": slot,
            "Status": {"State": "pending"},
            "DesiredState": "running",
            "CreatedAt": self.stamp(self.time + self.ahead),
            "template": copied(_template(service)),
        }

    def stamp(self, time: float) -> str:
        moment = datetime.fromtimestamp(time, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _age(self, row: dict[str, Any]) -> None:
        if row["ID"] in self.done:
            return
        self.ages[row["ID"]] += 1
        age = self.ages[row["ID"]]
        if self.node_rows.get(row["NodeID"], {}).get("Status", {}).get("State") == "down":
            return
        if row["DesiredState"] == "shutdown" and age >= STOP_STEPS:
            self._enter(row, "shutdown" if row["Status"]["State"] != "failed" else "failed")
        elif row["DesiredState"] == "running" and row["NodeID"]:
            if row["NodeID"] in self.crashing and age > START_STEPS + 1:
                self._enter(row, "failed")
                row["DesiredState"] = "shutdown"
            else:
                runs = age >= START_STEPS and row["NodeID"] not in self.sick
                self._enter(row, "running" if runs else "starting")

    def _enter(self, row: dict[str, Any], state: str) -> None:
        if row["Status"]["State"] != state:
            time = self.time + self.skews.get(row["NodeID"], 0.0)
            row["Status"] = {"State": state, "Timestamp": self.stamp(time)}
            if state == "failed":
                row["Status"]["Err"] = "task: non-zero exit (1)"

    def _stop(self, task: Task) -> None:
        row = self.task_rows[task.id]
        if row["DesiredState"] != "shutdown":
            row["DesiredState"] = "shutdown"
            self.ages[task.id] = 0

    def _slots(self, service: str) -> dict[int, list[Task]]:
        slots: dict[int, list[Task]] = {}
        for task in self.of(service):
            if task.is_wanted:
                slots.setdefault(task.slot, []).append(task)
        return slots

    def _fits(self, task: Task, service: Service) -> bool:
        rules = {rule.replace(" ", "") for rule in service.placement.get("Constraints") or []}
        excluded = f"node.id!={task.node}" in rules
        return not excluded and bool(self.task_rows[task.id]["template"] == _template(service))

    def _stopped_by_node(self, task: Task) -> bool:
        row = self.node_rows[task.node]
        return bool(row["Status"]["State"] == "down" or row["Spec"]["Availability"] == "drain")


def _template(service: Service) -> tuple[Any, ...]:
    """Read what of a spec makes Swarm replace a task."""
    return service.template.get("ContainerSpec"), service.template.get("ForceUpdate", 0)
