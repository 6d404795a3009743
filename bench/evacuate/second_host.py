"""A second host that is warned right after the first: the same way again, with handlers that are warm."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.lab.aws import lab_api
from tests.lab.demo.findings.facts import is_safe
from tests.lab.demo.findings.time_split import Handler, Split, split
from tests.lab.demo.findings.time_split import handlers as functions
from tests.lab.demo.report import records
from tests.lab.lifecycle import Say
from tests.lab.observe import handlers, journal
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine, formation

PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Again:
    """Where the time of the second evacuation went, and every handler over both."""

    split: Split
    handlers: tuple[Handler, ...]


def again(lab: Lab, say: Say) -> Again:
    """Warn one of the remaining workers and see it evacuated; its power stays on. LabError if it is not."""
    host = _next(lab)
    node = formation.node_of(lab, host).id
    say(f"once more, now warm: EC2 warns of the end of {host.name}")
    watch = Watch(lab)
    event = time.time()
    try:
        lab_api.warn(lab, host)
        safe = engine.wait_until(
            lambda: _safe(watch, node, event), f"{host.name} is evacuated", seconds=PATIENCE
        )
        done = lambda: records.state_of(lab, host.instance) == "evacuated"  # noqa: E731
        engine.wait_until(done, f"the record says that {host.name} is evacuated", seconds=PATIENCE)
    finally:
        watch.stop()

    def ended() -> Again | None:
        """Once the handler's log is there: it comes at its end, and it stays with what it has sent."""
        runs, entries = handlers.runs(lab), journal.read(lab)
        way = split(runs, entries, event, round(safe - event, 2))
        return Again(way, functions(runs, entries)) if way else None

    return engine.wait_until(ended, "the handler of the warning has ended", seconds=PATIENCE)


def _next(lab: Lab) -> Host:
    """Find the last worker with power: one of the first two stays for the tasks that are pinned to them."""
    workers = [host for host in lab.hosts if host.role == "worker" and host.pid]
    return max(workers, key=lambda host: host.name)


def _safe(watch: Watch, node: str, event: float) -> float | None:
    """When a look first showed that nothing that counts is left on the node."""
    looks = [one for one in list(watch.listings) if one.time > event]
    return next((one.time for one in looks if is_safe(one, node)), None)
