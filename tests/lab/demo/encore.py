"""One more act: a service whose replacement cannot start elsewhere serves until the end, and is named."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab import lifecycle, state
from tests.lab.aws import lab_api
from tests.lab.demo.report import records
from tests.lab.lifecycle import Say
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine, services

NAME = "bound"  # to a directory that only one host has
NOTICE_S = 40.0
PATIENCE_S = 60.0  # for the record to say what became of it


@dataclass(frozen=True)
class Encore:
    """For how many seconds of the notice the service's only task served, and what its host's record says."""

    served_s: float
    notice_s: float
    reason: str

    @property
    def is_named(self) -> bool:
        return f"{NAME} (1: its new tasks do not serve: " in self.reason


def play(lab: Lab, say: Say) -> Encore:
    """Warn the host that alone has the directory, and cut its power when the notice is over."""
    lab = state.load(lab.name)
    host = min((one for one in lab.hosts if one.role == "worker" and one.pid), key=lambda one: one.launched)
    _deploy(lab, host)
    say(f"one more act: {NAME} mounts a directory that only {host.name} has; EC2 warns of its end")
    began = time.time()
    lab_api.warn(lab, host, NOTICE_S)
    served = engine.wait_until(lambda: _ended(lab, began), f"{NAME} has left", seconds=2 * NOTICE_S)
    reason = engine.wait_until(lambda: _reason(lab, host), "the record tells of it", seconds=PATIENCE_S)
    say(f"{NAME} served for {served:.0f} of {NOTICE_S:.0f} s: {reason}")
    time.sleep(max(0.0, began + NOTICE_S - time.time()))
    lifecycle.kill(lab.name, host.instance)
    return Encore(round(served, 1), NOTICE_S, reason)


def _deploy(lab: Lab, host: Host) -> None:
    """Start it on the host, and then let it run anywhere."""
    Path(f"/proc/{host.pid}/root/srv/{NAME}").mkdir(parents=True, exist_ok=True)
    only = [f"node.hostname=={host.name}"]
    services.create(lab, NAME, "client:1", 1, mounts=[f"/srv/{NAME}:/data:ro"], constraints=only)
    engine.wait_until(lambda: _runs(lab), f"{NAME} runs")
    services.change_spec(lab, NAME, lambda spec: spec["TaskTemplate"]["Placement"].update(Constraints=[]))


def _runs(lab: Lab) -> bool:
    return any(task.running for task in engine.tasks(engine.manager(lab), NAME))


def _ended(lab: Lab, began: float) -> float | None:
    return None if _runs(lab) else time.time() - began


def _reason(lab: Lab, host: Host) -> str:
    is_over = records.read(lab, host.instance, "state") == "evacuated"
    return records.read(lab, host.instance, "reason") if is_over else ""
