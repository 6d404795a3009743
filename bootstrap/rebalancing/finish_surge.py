"""End a surge without stopping a task that is needed, whichever run finds its mark; pure.

| what the snapshot shows                                  | next                                          |
| -------------------------------------------------------- | --------------------------------------------- |
| an evacuation, or an update of its own                   | wait; a paused update fails the service       |
| somebody scaled it meanwhile                             | take the mark off, keep the replicas          |
| all tasks of this wave have a node, more waves are left  | raise by the next wave                        |
| all tasks run                                            | lower the replicas, take the mark off         |
| new tasks fail or take too long, a scale-down is safe    | lower the replicas                            |
| the same, but a scale-down would stop tasks that serve   | first move the new ones off the failing nodes |
| that found no way in time                                | leave it raised, fail the service             |
"""

from __future__ import annotations

import math
from dataclasses import replace

from bootstrap.actions import UpdateService
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.rebalancing.run import RETRY_BUSY_S, NextStep, Run, Wave
from bootstrap.specs.exclusion import excluded_nodes, has_exclusion
from bootstrap.specs.own_update import why_busy
from bootstrap.specs.surge import (
    Surge,
    count_survivors,
    is_rescaled,
    lower_replicas,
    move_off_failing_nodes,
    raise_next_wave,
    serving_tasks,
    why_failed,
)
from chalicelib.protocol.messages import Balance, Mode

LAST_CHANCE_S = 60.0  # after giving up in which a safe way down may still appear


def finish_surge(service: Service, surge: Surge, snapshot: Snapshot, run: Run, now: float) -> NextStep:
    """Scale down again once all tasks run; undo the surge safely if they do not come to run."""
    mine = replace(run, changed_at=now)
    if obstacle := _obstacle(service, surge, snapshot):
        return _obstructed(service, surge, run, obstacle)
    if is_rescaled(service, surge):
        again = mine.with_wave(service.id, Wave(Mode.SURGE, math.inf))
        why = f"somebody scaled it to {service.replicas}, which stays; the surge's mark goes"
        return NextStep(again, UpdateService(service, lower_replicas(service, surge), why))
    sure = serving_tasks(service, surge, snapshot, run.steadiness.sure_tasks(snapshot, now))
    given_up = service.id in run.failing
    if not given_up and not has_exclusion(service) and (spec := raise_next_wave(service, surge, snapshot)):
        return NextStep(mine, UpdateService(service, spec, f"all have a node: up by {surge.waves[0]} more"))
    if len(sure) >= surge.raised and not surge.waves and not given_up and not snapshot.is_replacing(service):
        done = run if service.id in run.waves else mine.with_wave(service.id, Wave(Mode.SURGE, math.inf))
        why = f"all {surge.raised} run: down to {surge.replicas} again"
        return NextStep(
            replace(done, changed_at=now, moved=run.moved + surge.moves),
            UpdateService(service, lower_replicas(service, surge), why),
        )
    why = run.failing.get(service.id) or why_failed(
        service, surge, snapshot, is_late=run.is_late(service.id, surge, now)
    )
    if has_exclusion(service) and not why:
        why = "an earlier run gave its surge up"
    if not why:
        return NextStep(run, waiting=f"{len(sure)} of {surge.raised} tasks of {service.name} run")
    failing = replace(mine, failing={**run.failing, service.id: why})
    if now > max(surge.until, run.started) + LAST_CHANCE_S:
        return _raised_still(service, surge, failing)
    return _undo(service, surge, snapshot, failing, sure)


def _obstacle(service: Service, surge: Surge, snapshot: Snapshot) -> str:
    """Say why the service may not be updated now: any change of a spec restarts an update under way."""
    undrained = {node.id for node in snapshot.evacuating_nodes if not snapshot.is_drained(node)}
    if (excluded_nodes(service) | set(surge.nodes) | _nodes_of(service, snapshot)) & undrained:
        return "it is being evacuated, which comes first"
    if has_exclusion(service) or not why_busy(service):
        return ""
    return f"its own update is {service.update}"


def _nodes_of(service: Service, snapshot: Snapshot) -> frozenset[str]:
    return frozenset(task.node for task in snapshot.tasks_of(service) if task.is_wanted)


def _obstructed(service: Service, surge: Surge, run: Run, obstacle: str) -> NextStep:
    if "paused" not in service.update:
        return NextStep(run, waiting=f"{service.name}: {obstacle}")
    why = f"{obstacle}: resume it or roll it back"
    return _raised_still(service, surge, replace(run, failing={**run.failing, service.id: why}))


def _raised_still(service: Service, surge: Surge, run: Run) -> NextStep:
    """Leave the replicas raised: more tasks than wanted harm less than fewer."""
    left = (
        f"it keeps {service.replicas} instead of {surge.replicas} replicas until a later run ends its surge"
    )
    return NextStep(
        run.with_outcome(service.id, Balance.FAILED, f"{run.failing[service.id]}; {left}", RETRY_BUSY_S)
    )


def _undo(service: Service, surge: Surge, snapshot: Snapshot, run: Run, sure: frozenset[str]) -> NextStep:
    why = run.failing[service.id]
    left = count_survivors(snapshot.tasks_of(service), surge.replicas, sure)
    if left >= min(surge.replicas, len(sure)):
        down = f"{why}: down to {surge.replicas} again"
        return NextStep(run, UpdateService(service, lower_replicas(service, surge), down))
    if spec := move_off_failing_nodes(service, snapshot, sure):
        off = f"{why}: a scale-down would stop tasks that serve, so the new ones go elsewhere first"
        return NextStep(run, UpdateService(service, spec, off))
    return NextStep(run, waiting=f"{service.name}: {why}; no scale-down is safe yet")
