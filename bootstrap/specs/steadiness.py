"""Which tasks can be relied on, as seen by the agent's own clock from poll to poll; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bootstrap.engine.snapshot import Snapshot
from bootstrap.specs.surge import monitor_seconds


@dataclass(frozen=True)
class Steadiness:
    """Since when each task has been seen to run (healthy), by the agent's own clock, by task id.

    Hosts' clocks differ, so that no time is taken from the swarm. A run that begins has seen nothing yet.
    """

    since: Mapping[str, float] = field(default_factory=dict)

    def with_poll(self, snapshot: Snapshot, now: float) -> Steadiness:
        """Add one more snapshot: what does not run any more is forgotten."""
        running = (task.id for task in snapshot.tasks if task.is_running)
        return Steadiness({key: self.since.get(key, now) for key in running})

    def sure_tasks(self, snapshot: Snapshot, now: float) -> frozenset[str]:
        """Find the tasks that have run for as long as their service's update monitor says."""
        needed = {service.id: monitor_seconds(service) for service in snapshot.services}
        running = (task for task in snapshot.tasks if task.id in self.since)
        return frozenset(
            task.id for task in running if now >= self.since[task.id] + needed.get(task.service, 0.0)
        )
