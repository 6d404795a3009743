"""Part (a): half of the lab's workers are warned within two seconds, under load."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.evacuate.targets import Target
from bench.storm.sight import Command, Seen, seen
from tests.lab import lifecycle, state
from tests.lab.aws import lab_api
from tests.lab.demo.observation import Method
from tests.lab.demo.scenario import CALM_S, CALM_TIMEOUT_S, REQUESTS_PER_S, Scenario, is_calm, specs
from tests.lab.endpoint.run_command.record import ENDED
from tests.lab.lifecycle import Say
from tests.lab.machines import programs
from tests.lab.observe import node_life
from tests.lab.observe.load import Load, read, start_load
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine, formation
from tests.lab.swarm.services import ANSWERING, WANTED

WORKERS, WARNED, WITHIN = 12, 6, 2.0
SETTLED = 3.0  # seconds watched after the last record


def measure(name: str, say: Say) -> Seen:
    """Run the storm on a lab of its own."""
    with _lab(name, say) as lab:
        scenario = Scenario(lab, Method.OURS, lab_api.SPOT_NOTICE_S, say)
        scenario.prepare()
        before, watch = specs(lab), Watch(lab)
        try:
            load = start_load(lab, ANSWERING, REQUESTS_PER_S, scenario.requests)
            try:
                return _storm(lab, watch, load, before, say)
            finally:
                load.stop()
        finally:
            watch.stop()


@contextmanager
def _lab(name: str, say: Say) -> Iterator[Lab]:
    if programs.is_alive(name):
        raise LabError(f"lab {name!r} is up already; take it down: python -m tests.lab down --name {name}")
    try:
        yield lifecycle.up(name, workers=WORKERS, say=say)
    finally:
        lifecycle.down(name, say)


def _storm(lab: Lab, watch: Watch, load: Load, before: dict[str, str], say: Say) -> Seen:
    say(f"watching until all is calm for {CALM_S:g} s")
    calm = lambda: is_calm(read(load.out), WANTED, time.time())  # noqa: E731
    engine.wait_until(calm, "every replica answers, and no request fails", seconds=CALM_TIMEOUT_S, pause=0.5)
    doomed = _doomed(lab)
    nodes = [formation.node_of(lab, host).id for host in doomed]
    say(f"EC2 warns of the end of {', '.join(host.name for host in doomed)}")
    began = time.time()
    for number, host in enumerate(doomed):
        time.sleep(max(0.0, began + number * WITHIN / WARNED - time.time()))
        lab_api.warn(lab, host)
    _await(lab, doomed, began)
    say("every record says evacuated" if _open(lab, doomed) == [] else "not every record says evacuated")
    time.sleep(SETTLED)
    answers = [one for one in load.stop() if one.time >= began - CALM_S]
    watch.stop()
    records = {host.instance: str(node_life.records(lab)[host.instance]["state"]) for host in doomed}
    return seen(began, nodes, watch, answers, records, _changed(before, specs(lab)), _commands(lab, began))


def _doomed(lab: Lab) -> tuple[Host, ...]:
    """Choose the workers with most to lose, but never both hosts of what is pinned to two."""
    tasks = engine.tasks(engine.manager(state.load(lab.name)))
    count = Counter(task.node for task in tasks if task.running)
    pinned = [task.node for task in tasks if task.running and task.service == "pinned"]
    workers = {formation.node_of(lab, host).id: host for host in lab.hosts if host.role == "worker"}
    spared = set(pinned[:1])
    ranked = sorted(set(workers) - spared, key=lambda node: (-count[node], workers[node].name))
    return tuple(workers[node] for node in ranked[:WARNED])


def _await(lab: Lab, doomed: Sequence[Host], began: float) -> None:
    """Until all records say that it is done, or the notice is over."""
    while _open(lab, doomed) and time.time() < began + lab_api.SPOT_NOTICE_S:
        time.sleep(0.5)


def _open(lab: Lab, doomed: Sequence[Host]) -> list[str]:
    found = node_life.records(lab)
    return [host.name for host in doomed if found[host.instance]["state"] != "evacuated"]


def _changed(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in {*before, *after} if before.get(name) != after.get(name)))


def _commands(lab: Lab, began: float) -> list[Command]:
    return [
        Command(row["order"]["comment"].split()[0], row["instance"], row["stderr"])
        for row in lab_api.commands(lab)
        if row["order"]["requested"] >= began and row["status"] in ENDED
    ]


def targets(found: Seen) -> tuple[Target, ...]:
    """List what must hold on the lab."""
    safe = f"{found.safe:.1f} s" if found.safe is not None else "never"
    below = sum(row.dip for row in found.services)
    most = max((row.updates for row in found.services), default=0)
    allowed = 2 * found.evacuations
    good = found.safe is not None and found.safe < lab_api.SPOT_NOTICE_S
    done = sum(value == "evacuated" for value in found.records.values())
    return (
        Target("records evacuated", f"{WARNED}", f"{done}", done == WARNED),
        Target("last node safe", f"within {lab_api.SPOT_NOTICE_S:g} s", safe, good),
        Target("tasks missing at worst", "0", str(below), below == 0 and bool(found.services)),
        Target("requests failed", "0", f"{found.failed} of {found.sent:,}", found.failed == 0 < found.sent),
        Target("service specs", "the same", ", ".join(found.changed) or "the same", not found.changed),
        Target(
            "evacuate commands",
            f"fewer than {WARNED}",
            str(found.evacuations),
            0 < found.evacuations < WARNED,
        ),
        Target("updates of a service", "at most 2 for each command", str(most), most <= allowed),
    )
