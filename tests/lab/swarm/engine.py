"""Talks to the engine of one host, from the machine outside, and says what its swarm holds."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import docker
from botocore.exceptions import BotoCoreError, ClientError
from docker import DockerClient
from docker.errors import DockerException
from requests.exceptions import RequestException

from tests.lab.state import Host, Lab, LabError

T = TypeVar("T")
SURGE_LABEL = "swarmkeeper.rebalance.before"  # service label: a rebalance's surge is under way
UNREACHABLE = (DockerException, RequestException)
NOT_YET = (LabError, BotoCoreError, ClientError, *UNREACHABLE)  # what may be right a moment later
TIMEOUT_S = 120.0  # seconds; many times what anything takes here, as a loaded machine is slow but not wrong
SLOWER, LONGEST_PAUSE_S = 1.15, 0.3


@dataclass(frozen=True)
class Node:
    """A node as its managers list it; ``instance`` is the engine's own label, "" where it has none."""

    id: str
    name: str
    role: str
    availability: str
    state: str
    leader: bool
    reachability: str
    address: str
    instance: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """A service; ``wanted`` is the number of replicas asked for, None for a global one.

    During a rebalance it is the number from before: what is added for the moment need not run.
    """

    id: str
    name: str
    wanted: int | None
    spec: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Task:
    """One task; ``slot`` is 0 for those of global services, ``service`` the service's name."""

    id: str
    service: str
    node: str
    slot: int
    state: str
    desired: str
    error: str = ""
    container: str = ""

    @property
    def running(self) -> bool:
        """Whether it runs (and is healthy, where it has a health check) and is meant to."""
        return self.state == "running" and self.desired == "running"


def connect(host: Host, timeout: float = 10) -> DockerClient:
    """Open a client of the host's engine; LabError where it does not answer."""
    try:
        return docker.DockerClient(base_url=f"unix://{host.socket}", timeout=timeout)
    except UNREACHABLE as error:
        raise LabError(f"the engine of {host.name} does not answer: {error}") from error


def answers(host: Host) -> bool:
    """Whether the host's engine answers."""
    try:
        return bool(connect(host, timeout=2).ping())
    except (LabError, *UNREACHABLE):
        return False


def manager(lab: Lab, timeout: float = 10) -> DockerClient:
    """Open a client of the first manager that answers for the swarm; LabError where none does."""
    reasons = []
    for host in lab.hosts:
        if host.role == "manager" and host.pid:
            try:
                client = connect(host, timeout)
                nodes(client)
            except (LabError, *UNREACHABLE) as error:
                reasons.append(f"{host.name}: {error}")
            else:
                return client
    raise LabError(f"no manager of lab {lab.name!r} answers; {'; '.join(reasons) or 'none has power'}")


def version(client: DockerClient) -> str:
    """Name the engine's version, such as ``28.5.2+dfsg4``."""
    return str(client.version()["Version"])


def nodes(client: DockerClient) -> list[Node]:
    """Every node that the swarm lists, by name."""
    return sorted((_node(row) for row in client.api.nodes()), key=lambda node: node.name)


def change_node(lab: Lab, node: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Give a node the fields of its spec that ``change`` answers; LabError where that fails for 10 s.

    Swarm changes nodes too: who loses that race tries again.
    """

    def changed() -> bool:
        found = manager(lab).nodes.get(node)
        found.update({**found.attrs["Spec"], **change(found.attrs["Spec"])})
        return True

    wait_until(changed, f"node {node} is changed")


def services(client: DockerClient) -> list[Service]:
    """Every service, by name."""
    return sorted((_service(row) for row in client.api.services()), key=lambda service: service.name)


def tasks(client: DockerClient, service: str = "") -> list[Task]:
    """List the tasks of one service or of all, with those of the past that Swarm still lists."""
    names = {known.id: known.name for known in services(client)}
    rows = client.api.tasks({"service": service} if service else None)
    return [_task(row, names) for row in rows if row["ServiceID"] in names]


def spread(found: Iterable[Task]) -> dict[str, dict[str, int]]:
    """Count running tasks per service and node id."""
    counts: dict[str, Counter[str]] = {}
    for task in found:
        if task.running:
            counts.setdefault(task.service, Counter())[task.node] += 1
    return {service: dict(counter) for service, counter in sorted(counts.items())}


def wait_until(
    predicate: Callable[[], T | None], what: str, *, seconds: float = TIMEOUT_S, pause: float = 0.1
) -> T:
    """Wait for the predicate's first true answer; LabError naming what did not happen in time.

    It asks ever more slowly, as each question takes processor from what is waited for. An engine or AWS that
    does not answer meanwhile counts as "not yet": leaders change, hosts die.
    """
    until, reason = time.monotonic() + seconds, ""
    longest = max(pause, LONGEST_PAUSE_S)
    while True:
        try:
            if answer := predicate():
                return answer
            reason = ""
        except NOT_YET as error:
            reason = f" (last error: {error})"
        if time.monotonic() > until:
            raise LabError(f"did not happen within {seconds:g} s: {what}{reason}")
        time.sleep(pause)
        pause = min(longest, pause * SLOWER)


def _node(row: dict[str, Any]) -> Node:
    spec, description = row["Spec"], row.get("Description", {})
    managing = row.get("ManagerStatus", {})
    return Node(
        id=row["ID"],
        name=description.get("Hostname", ""),
        role=spec["Role"],
        availability=spec["Availability"],
        state=row["Status"]["State"],
        leader=managing.get("Leader", False),
        reachability=managing.get("Reachability", ""),
        address=row["Status"].get("Addr", ""),
        instance=description.get("Engine", {}).get("Labels", {}).get("swarmkeeper.instance", ""),
        labels=spec.get("Labels") or {},
    )


def _service(row: dict[str, Any]) -> Service:
    spec = row["Spec"]
    wanted = spec["Mode"]["Replicated"].get("Replicas", 1) if "Replicated" in spec["Mode"] else None
    surge = json.loads((spec.get("Labels") or {}).get(SURGE_LABEL, "{}"))
    return Service(row["ID"], spec["Name"], surge.get("replicas", wanted), spec)


def _task(row: dict[str, Any], names: dict[str, str]) -> Task:
    status = row["Status"]
    return Task(
        id=row["ID"],
        service=names[row["ServiceID"]],
        node=row.get("NodeID", ""),
        slot=row.get("Slot", 0),
        state=status["State"],
        desired=row["DesiredState"],
        error=status.get("Err", ""),
        container=status.get("ContainerStatus", {}).get("ContainerID", ""),
    )
