"""A forced update at the service's own pace: every task is restarted, and Swarm spreads them anew; pure."""

from __future__ import annotations

import math

from bootstrap.engine.service import Service, Spec
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import moment

DEFAULT_START_S = 10.0  # that a task is taken to need, where none was seen to start
LONGEST_START_S = 300.0  # a task that took longer had waited for a node
HEALTH_INTERVAL = 30 * 10**9  # Docker's default for a health check that names none, in 1e-9 s


def force_update(service: Service) -> Spec:
    """Make the spec with which Swarm replaces every task; nothing else of it changes."""
    template = {**service.template, "ForceUpdate": _forces(service) + 1}
    return {**service.spec, "TaskTemplate": template}


def startup_seconds(service: Service, snapshot: Snapshot) -> float:
    """Tell the seconds from a task's creation until it ran (healthy), as observed; the lowest quartile.

    Swarm does not tell when a task was given its node, and tasks may have waited for one for hours.
    """
    running = (task for task in snapshot.tasks_of(service) if task.is_running)
    taken = (moment(task.since) - moment(task.created) for task in running)
    seen = sorted(seconds for seconds in taken if seconds > 0)
    return min(seen[len(seen) // 4], LONGEST_START_S) if seen else DEFAULT_START_S


def update_seconds(service: Service, snapshot: Snapshot) -> float:
    """Estimate the seconds of the forced update. One that starts first waits for no task to stop."""
    rounds = math.ceil(service.replicas / (_parallelism(service) or service.replicas or 1))
    starts_first = service.update_config.get("Order") == "start-first"
    stop = 0.0 if starts_first else service.stop_grace
    return rounds * (startup_seconds(service, snapshot) + stop + _delay(service))


def list_warnings(service: Service, snapshot: Snapshot) -> tuple[str, ...]:
    """List what its owner should know before all its tasks are restarted in turn."""
    delay, parallelism = _delay(service), _parallelism(service)
    start, interval = startup_seconds(service, snapshot), _interval(service)
    at_once = f"{parallelism} tasks" if parallelism else "all tasks"
    found = (
        (
            delay < start,
            f"update-delay {delay:g} s is shorter than its tasks take to start ({start:.1f} s)",
        ),
        (
            delay < interval,
            f"update-delay {delay:g} s is shorter than its health check's interval ({interval:g} s)",
        ),
        (
            parallelism != 1 and not _forces(service),
            f"the first forced update restarts {at_once} at a time (update-parallelism {parallelism})",
        ),
    )
    return tuple(text for true, text in found if true)


def update_outcome(service: Service) -> tuple[bool, str]:
    """Tell whether the forced update is over, and what went wrong with it ("" for nothing)."""
    if service.update == "completed":
        return True, ""
    if service.update in ("", "updating"):
        return False, ""
    return True, f"Swarm shows its update as {service.update}: see docker service ps {service.name}"


def _forces(service: Service) -> int:
    return int(service.template.get("ForceUpdate") or 0)


def _parallelism(service: Service) -> int:
    """Read how many tasks are updated at a time, 0 for all; without an UpdateConfig 1."""
    config = service.spec.get("UpdateConfig")
    return 1 if config is None else int(config.get("Parallelism") or 0)


def _delay(service: Service) -> float:
    return float(service.update_config.get("Delay") or 0) / 1e9


def _interval(service: Service) -> float:
    """Tell the seconds between two health checks; 0 where the service's spec has none."""
    check = (service.template.get("ContainerSpec") or {}).get("Healthcheck") or {}
    if not check.get("Test") or check["Test"] == ["NONE"]:
        return 0.0
    return float(check.get("Interval") or HEALTH_INTERVAL) / 1e9
