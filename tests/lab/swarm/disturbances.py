"""Services of many shapes leave a node while somebody changes each of them at a random moment.

What it costs is measured in the same way for whatever empties the node.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from docker.types import UpdateConfig

from tests.lab.observe.watch import Sample, Watch
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine, formation, services

DEADLINE_LABEL = "swarmkeeper.evacuate"
Shape = tuple[int, int, int]  # tasks on the node that is emptied, and on two others
SHAPES: tuple[Shape, ...] = ((1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2))
UNEVEN: tuple[Shape, ...] = ((2, 0, 0), (4, 0, 0), (3, 1, 0), (1, 5, 0), (12, 2, 1))
LATEST_S = 9.0  # after the beginning at which somebody acts
SETTLED_S = 60.0
Spec = dict[str, Any]


class Change(StrEnum):
    """What somebody does to a service."""

    NOTHING = "nothing"
    UP = "scale up by 1"
    DOWN = "scale down by 1"
    DEPLOY = "stack deploy of the same file"
    EQUAL = "a constraint equal to ours"
    LABEL = "another label"


@dataclass(frozen=True)
class Case:
    """One service: how it stands, and what somebody does to it so many seconds after the beginning."""

    name: str
    shape: Shape
    change: Change
    after: float

    @property
    def replicas(self) -> int:
        return sum(self.shape)

    @property
    def replicas_after(self) -> int:
        """The number that is wanted in the end."""
        return self.replicas + {Change.UP: 1, Change.DOWN: -1}.get(self.change, 0)


@dataclass(frozen=True)
class Cost:
    """What it cost one service: fewest tasks of those wanted, for how long, and what is wrong in its spec."""

    case: Case
    fewest: int
    below_s: float
    started: int
    wrong: str  # what its spec says, and should say; "" where it is right

    @property
    def missing(self) -> int:
        return max(0, min(self.case.replicas, self.case.replicas_after) - self.fewest)


def draw_cases(rng: random.Random, shapes: tuple[Shape, ...], changes: tuple[Change, ...]) -> list[Case]:
    """Give each shape a change and a moment."""
    found = []
    for number, shape in enumerate(shapes):
        fitting = [one for one in changes if one is not Change.DOWN or sum(shape) > 1]
        found.append(Case(f"moved-{number}", shape, rng.choice(fitting), rng.uniform(0, LATEST_S)))
    return found


def deploy(lab: Lab, cases: list[Case], hosts: tuple[Host, Host, Host], rng: random.Random) -> None:
    """Start the services so that their tasks stand as each shape says."""
    for at, host in enumerate(hosts):
        for other in hosts:
            _set_availability(lab, other, "active" if other is host else "pause")
        for case in cases:
            if at == 0:
                # A constraint that its user adds before we begin is his own update, in his own order.
                orders = ("start-first",) if case.change is Change.EQUAL else ("stop-first", "start-first")
                order = rng.choice(orders)
                config = UpdateConfig(parallelism=rng.choice((0, 1, 2)), order=order)
                only = [f"node.hostname!={one.name}" for one in lab.hosts if one not in hosts]
                image = rng.choice(("client:1", "checked:1"))
                services.create(lab, case.name, image, case.shape[0], constraints=only, update_config=config)
            elif case.shape[at]:
                _update(lab, case.name, partial(_scaled, replicas=sum(case.shape[: at + 1])))
        _await_running(lab, {case.name: sum(case.shape[: at + 1]) for case in cases})
    for host in hosts:
        _set_availability(lab, host, "active")


def play(lab: Lab, cases: list[Case], doomed: Host, empty: Callable[[], object]) -> list[Cost]:
    """Empty the node while everybody acts; answers what it cost, once all is as wanted or 60 s are over."""
    node = formation.node_of(lab, doomed).id
    wanted = {case.name: _expected(_spec(lab, case.name), case, node) for case in cases}
    deployed = {case.name: _spec(lab, case.name) for case in cases}
    watch = Watch(lab)
    people = [
        threading.Thread(target=_act, args=(lab, case, node, deployed[case.name]), daemon=True)
        for case in cases
    ]
    for person in people:
        person.start()
    empty()
    for person in people:
        person.join()
    until = time.monotonic() + SETTLED_S
    while time.monotonic() < until and not _is_settled(watch, cases, node):
        time.sleep(0.3)
    watch.stop()
    return [_cost(case, watch, _difference(_spec(lab, case.name), wanted[case.name])) for case in cases]


def remove(lab: Lab, cases: list[Case]) -> None:
    """Remove the services."""
    names = {case.name for case in cases}
    for service in engine.manager(lab).services.list():
        if service.name in names:
            service.remove()


def _difference(found: Any, wanted: Any, path: str = "") -> str:
    if not isinstance(found, dict) or not isinstance(wanted, dict):
        return "" if found == wanted else f"{path}: {found!r} instead of {wanted!r}"
    keys = sorted(found.keys() | wanted.keys())
    parts = (_difference(found.get(key), wanted.get(key), f"{path}.{key}") for key in keys)
    return "; ".join(part for part in parts if part)


def _cost(case: Case, watch: Watch, wrong: str) -> Cost:
    counts = [sample.count(case.name) for sample in watch.samples]
    floor = min(case.replicas, case.replicas_after)
    below = sum(_seconds(watch.samples, at) for at, count in enumerate(counts) if count < floor)
    return Cost(case, min(counts), round(below, 1), watch.started(case.name), wrong)


def _seconds(samples: list[Sample], at: int) -> float:
    return samples[at + 1].time - samples[at].time if at + 1 < len(samples) else 0.0


def _is_settled(watch: Watch, cases: list[Case], node: str) -> bool:
    last, sample = watch.listings[-1], watch.samples[-1]
    empty = not any(task.node == node and task.running for task in last.tasks)
    return empty and all(sample.count(case.name) == case.replicas_after for case in cases)


def _act(lab: Lab, case: Case, node: str, deployed: Spec) -> None:
    time.sleep(case.after)
    change: dict[Change, Callable[[Spec], Spec]] = {
        Change.UP: lambda spec: _scaled(spec, case.replicas_after),
        Change.DOWN: lambda spec: _scaled(spec, case.replicas_after),
        Change.DEPLOY: lambda _: deepcopy(deployed),
        Change.EQUAL: lambda spec: _constrained(spec, node),
        Change.LABEL: lambda spec: {**spec, "Labels": {**(spec.get("Labels") or {}), "by": "hand"}},
    }
    if case.change in change:
        _update(lab, case.name, change[case.change])


def _expected(spec: Spec, case: Case, node: str) -> Spec:
    spec = _scaled(deepcopy(spec), case.replicas_after)
    if case.change is Change.EQUAL:
        spec = _constrained(spec, node)
    if case.change is Change.LABEL:
        spec["Labels"] = {**(spec.get("Labels") or {}), "by": "hand"}
    return spec


def _scaled(spec: Spec, replicas: int) -> Spec:
    return {**spec, "Mode": {"Replicated": {"Replicas": replicas}}}


def _constrained(spec: Spec, node: str) -> Spec:
    """Add the constraint as the ``docker`` command line does: one that is there already is not repeated."""
    placement = spec["TaskTemplate"]["Placement"]
    rules = list(dict.fromkeys([*placement.get("Constraints", []), f"node.id!={node}"]))
    return {
        **spec,
        "TaskTemplate": {**spec["TaskTemplate"], "Placement": {**placement, "Constraints": rules}},
    }


def _row(lab: Lab, name: str) -> dict[str, Any]:
    rows = engine.manager(lab).api.services({"name": name})
    return next(row for row in rows if row["Spec"]["Name"] == name)


def _spec(lab: Lab, name: str) -> Spec:
    spec: Spec = json.loads(json.dumps(_row(lab, name)["Spec"]))
    return spec


def _update(lab: Lab, name: str, change: Callable[[Spec], Spec]) -> None:
    """Change a service as the ``docker`` command line does; who loses a race reads it again."""

    def replace_all(spec: Spec) -> None:
        after = change(deepcopy(spec))
        spec.clear()
        spec.update(after)

    def updated() -> bool:
        services.change_spec(lab, name, replace_all)
        return True

    engine.wait_until(updated, f"service {name} is changed")


def _set_availability(lab: Lab, host: Host, availability: str) -> None:
    node = formation.node_of(lab, host).id
    engine.change_node(lab, node, lambda _: {"Availability": availability})


def _await_running(lab: Lab, wanted: dict[str, int]) -> None:
    def are_running() -> bool:
        counts = engine.spread(engine.tasks(engine.manager(lab)))
        return all(sum(counts.get(name, {}).values()) >= count for name, count in wanted.items())

    engine.wait_until(are_running, f"so many tasks run: {wanted}")


def heal(lab: Lab, host: Host) -> None:
    """Give a node tasks again that was emptied."""

    def healed(spec: Spec) -> Spec:
        labels = {key: value for key, value in spec.get("Labels", {}).items() if key != DEADLINE_LABEL}
        return {"Availability": "active", "Labels": labels}

    engine.change_node(lab, formation.node_of(lab, host).id, healed)
