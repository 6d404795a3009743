"""A cluster as one plan sees it, its managers as hosts, and the last discovery."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.protocol.messages import AgentTask
from chalicelib.state.deployment import Deployment
from chalicelib.state.incident import Incident
from chalicelib.state.job import Job
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from chalicelib.state.settings import ClusterSettings, Timeouts


@dataclass(frozen=True, slots=True)
class Discovery:
    """When EC2 was last asked for all instances, until when a handler asks again, and the clusters found."""

    taken: float = 0.0
    busy_until: float = 0.0
    clusters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Breaker:
    """The circuit breaker of a manager host: failures in a row, open until when, time of the last success."""

    failures: int = 0
    open_until: float = 0.0
    good: float = 0.0


@dataclass(frozen=True, slots=True)
class Host:
    """A manager as a host for commands: the state of its own node, its circuit breaker, address, node id.

    ``only_tagged``: see the record of its node.
    """

    instance: str
    state: NodeState = NodeState.IN_SERVICE
    breaker: Breaker = field(default_factory=Breaker)
    address: str = ""
    node: str = ""
    only_tagged: bool = False

    @property
    def is_proven(self) -> bool:
        """Whether it is in service as a node that managers have activated, not only tagged as manager."""
        return self.state is NodeState.IN_SERVICE and bool(self.node) and not self.only_tagged


@dataclass(frozen=True, slots=True)
class Overview:
    """What most events need to know of a cluster: managers, settings, and one node if there is one."""

    managers: tuple[str, ...] = ()
    settings: ClusterSettings = field(default_factory=ClusterSettings)
    node: Node | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is known of a cluster at ``now``: its managers, and the nodes of the event.

    ``unnotified``: incidents without a message so far. ``jobs``: one for each task that was ever ordered.
    """

    name: str
    now: float
    nodes: tuple[Node, ...] = ()
    managers: tuple[str, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    settings: ClusterSettings = field(default_factory=ClusterSettings)
    unnotified: tuple[Incident, ...] = ()
    jobs: tuple[Job, ...] = ()
    deployment: Deployment = field(default_factory=Deployment)

    def node(self, instance: str) -> Node | None:
        """Return the record of an instance; None if there is none."""
        return next((node for node in self.nodes if node.instance == instance), None)

    def job(self, task: AgentTask) -> Job | None:
        """Return the job of a task; None if it was never ordered."""
        return next((job for job in self.jobs if job.task is task), None)
