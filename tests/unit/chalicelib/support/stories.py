"""The steps of a story, told to a lab in memory; each answers the reasons of the plans that it led to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.events import InstanceStateChanged, InvocationEnded, SpotInterruptionWarning, Tick
from chalicelib.protocol.messages import AgentTask
from chalicelib.routing import handle
from chalicelib.state.job import Job
from tests.unit.chalicelib.support.fakes import START, WORKER
from tests.unit.chalicelib.support.samples import sample

if TYPE_CHECKING:
    from chalicelib.state.lifecycle import NodeState
    from tests.unit.chalicelib.support.fakes import Lab, Sent


def warn(lab: Lab, name: str = WORKER, time: float = START, action: str = "terminate") -> list[str]:
    payload = sample("spot_interruption_warning", time, instance_id=name, instance_action=action)
    return handle(SpotInterruptionWarning, payload, lab.world())


def change(lab: Lab, state: str, name: str = WORKER, time: float | None = None) -> list[str]:
    payload = sample("instance_terminated", time or lab.clock.time, instance_id=name, state=state)
    return handle(InstanceStateChanged, payload, lab.world())


def end(lab: Lab, sent: Sent) -> list[str]:
    """End the command now; its event arrives."""
    lab.clock.time = max(lab.clock.time, sent.at + lab.hosts.takes)
    payload = sample("ssm_invocation_success", lab.clock.time, command_id=sent.id, instance_id=sent.manager)
    return handle(InvocationEnded, payload, lab.world())


def tick(lab: Lab) -> list[str]:
    lab.clock.sleep(60)
    return handle(Tick, {}, lab.world())


def state(lab: Lab, name: str = WORKER) -> NodeState:
    return lab.node(name).state


def job(lab: Lab, task: AgentTask) -> Job:
    """Return the cluster's job, which must exist."""
    return next(one for one in lab.jobs.list_all("blue") if one.task is task)


def commands(lab: Lab, task: AgentTask) -> list[tuple[str, float]]:
    """List who was sent a task, and when."""
    return [(sent.manager, sent.at) for sent in lab.hosts.sent if sent.task is task]
