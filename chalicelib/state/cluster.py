"""What we know: a cluster, its nodes, and every legal change of a node's state."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.protocol.messages import AgentTask
from chalicelib.state.incident import Incident
from chalicelib.state.job import Job
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from chalicelib.state.settings import ClusterSettings, Timeouts


@dataclass(frozen=True, slots=True)
class Discovery:
    """When EC2 was last asked for all instances, until when somebody is at it again, and the clusters."""

    taken: float = 0.0
    busy_until: float = 0.0
    clusters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a manager host has behaved: failures in a row, closed to it until when, last success."""

    failures: int = 0
    open_until: float = 0.0
    good: float = 0.0


@dataclass(frozen=True, slots=True)
class Host:
    """A manager as a place to run commands: the state of its own node, how it has behaved, its address."""

    instance: str
    state: NodeState = NodeState.IN_SERVICE
    breaker: Breaker = field(default_factory=Breaker)
    address: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is known of a cluster at ``now``: those of its nodes that the event concerns, and its managers.

    ``unnotified``: incidents of which nobody has been told yet. ``jobs``: one for each task that was ordered.
    """

    name: str
    now: float
    nodes: tuple[Node, ...] = ()
    managers: tuple[str, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    settings: ClusterSettings = field(default_factory=ClusterSettings)
    unnotified: tuple[Incident, ...] = ()
    jobs: tuple[Job, ...] = ()

    def node(self, instance: str) -> Node | None:
        """The node of an instance, if it is known."""
        return next((node for node in self.nodes if node.instance == instance), None)

    def job(self, task: AgentTask) -> Job | None:
        """The job of a task, if it was ever ordered."""
        return next((job for job in self.jobs if job.task is task), None)
