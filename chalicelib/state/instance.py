"""One EC2 instance as EC2 and Auto Scaling show it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")  # of a cluster: it travels in a command's comment


class Role(StrEnum):
    """What an instance is tagged to be in its swarm."""

    MANAGER = "manager"
    WORKER = "worker"


class InstanceState(StrEnum):
    """The states of an EC2 instance, in EC2's own words."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    SHUTTING_DOWN = "shutting-down"
    STOPPED = "stopped"
    TERMINATED = "terminated"


class Transition(StrEnum):
    """Whether an Auto Scaling group launches an instance or terminates it."""

    LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
    TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


@dataclass(frozen=True, slots=True)
class LifecycleAction:
    """A lifecycle action with which an Auto Scaling group waits since ``opened``; its last ``heartbeat``.

    ``token`` is "" for an action without an event: the id of the instance then stands for it. ``warm``: the
    instance is launched into the group's warm pool, not into service.
    """

    group: str
    name: str
    token: str
    transition: Transition
    opened: float
    heartbeat: float = 0.0
    warm: bool = False


UP = frozenset({InstanceState.PENDING, InstanceState.RUNNING})
ENDING = frozenset({InstanceState.STOPPING, InstanceState.SHUTTING_DOWN})
ENDED = frozenset({InstanceState.STOPPED, InstanceState.TERMINATED})


@dataclass(frozen=True, slots=True)
class DiscoveredInstance:
    """One tagged instance as EC2 shows it; ``launched``: when it was last started, ``fleet``: by which fleet.

    ``group``: its Auto Scaling group; ``hooks``: the lifecycle actions with which the group waits. ``zone``,
    ``kind`` (instance type) and ``lifecycle`` become labels of its node; "" where EC2 shows none.
    """

    cluster: str
    instance: str
    role: Role
    address: str
    state: InstanceState
    launched: float
    fleet: str = ""
    group: str = ""
    hooks: tuple[LifecycleAction, ...] = ()
    zone: str = ""
    kind: str = ""
    lifecycle: str = ""
