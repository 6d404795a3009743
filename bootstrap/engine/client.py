"""All calls of the engine API that are used: what is read, and what is changed."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from docker import APIClient
from requests import Response
from requests.exceptions import RequestException

from bootstrap.engine.config import Config
from bootstrap.engine.connection import ANSWER_TIMEOUT_S, MALFORMED, SOCKET, Connection, check
from bootstrap.engine.decode import (
    checked,
    has_raft_state,
    is_autolocked,
    read_config,
    read_membership,
    read_network,
    read_node,
    read_node_event,
    read_service,
    read_task,
    rows,
)
from bootstrap.engine.network import NAMESPACE_LABEL, Network
from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, Membership, Node
from bootstrap.engine.node_event import NodeEvent
from bootstrap.engine.service import EXCLUSION_LABEL, SURGE_LABEL, Service, Spec
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.errors import ConflictError, EngineError, NotManagerError, RefusedError

__all__ = ["SOCKET", "Config", "ConflictError", "Engine", "EngineError", "NotManagerError", "RefusedError"]

ALL_TASKS_TIMEOUT_S = 30  # seconds to list all tasks: of 50,000 the answer has some 200 MB
CHUNK = 1 << 18  # bytes of it that are read at a time
MEMBERSHIP_TIMEOUT_S = (
    30  # seconds to start, join or leave a swarm; a join that takes 20 s goes on in the background
)
PORT = 2377  # of the managers


class Engine(Connection):
    """One host's engine. Every method raises EngineError where it is refused or not answered."""

    @property
    def socket(self) -> str:
        """Where the engine is, such as ``unix:///var/run/docker.sock``."""
        return self._socket

    def is_alive(self) -> bool:
        """Tell whether the engine itself answers, however its swarm is."""
        try:
            with self._translated("answer"):
                return bool(self._api.ping())
        except EngineError:
            return False

    def info(self) -> Mapping[str, Any]:
        """Read what ``docker info`` shows, as the engine's JSON."""
        with self._translated("say what it is"):
            return checked(self._api.info(), dict)

    def node_id(self) -> str:
        """Read this host's own node id. Raises NotManagerError where it cannot manage a swarm."""
        own = self.membership()
        if not own.is_manager:
            raise NotManagerError(
                f"this host is no swarm manager (its state is {own.state}): "
                "run the task on a manager that docker node ls shows as reachable"
            )
        return own.node

    def membership(self) -> Membership:
        """Read how this host stands to a swarm."""
        info = self.info()
        with self._translated("say how it stands to a swarm"):
            seen = read_membership(info)
            return replace(seen, has_raft_state=has_raft_state(info), is_autolocked=is_autolocked(info))

    def init(self, address: str, *, force: bool = False) -> None:
        """Start a swarm whose first manager is this host; with force, from this manager's own state."""
        message = {
            "ListenAddr": f"0.0.0.0:{PORT}",
            "AdvertiseAddr": address,
            "ForceNewCluster": force,
        }
        self._order("start a swarm", "/swarm/init", message, timeout=MEMBERSHIP_TIMEOUT_S)

    def join(self, at: str, token: str, address: str) -> None:
        """Join the swarm of the manager ``at``, drained. A join that takes long goes on in the background."""
        # The SDK's own join_swarm knows no availability.
        message = {
            "ListenAddr": f"0.0.0.0:{PORT}",
            "AdvertiseAddr": address,
            "RemoteAddrs": [f"{at}:{PORT}"],
            "JoinToken": token,
            "Availability": "drain",
        }
        self._order(f"join the swarm at {at}", "/swarm/join", message, timeout=MEMBERSHIP_TIMEOUT_S)

    def leave(self) -> None:
        """Leave the swarm, whatever this host is in it."""
        self._order("leave its swarm", "/swarm/leave", timeout=MEMBERSHIP_TIMEOUT_S, force=True)

    def tokens(self) -> dict[str, str]:
        """Read the swarm's join tokens by role; never to be shown."""
        with self._translated("tell the join tokens"):
            found = self._api.inspect_swarm()["JoinTokens"]
            return {role: checked(found[role.title()], str) for role in ("worker", "manager")}

    def rotate_tokens(self) -> None:
        """Make both join tokens worthless for whoever has not joined yet, and make new ones."""
        with self._translated("tell its swarm's settings"):
            found = self._api.inspect_swarm()
            spec, version = checked(found["Spec"], dict), checked(found["Version"]["Index"], int)
        flags = {"rotateWorkerToken": True, "rotateManagerToken": True}
        self._order("rotate the join tokens", "/swarm/update", spec, version=version, **flags)

    def peers(self, network: str = "ingress") -> frozenset[str] | None:
        """Read the addresses that this engine knows on an overlay network; None where it is not on it."""
        try:
            with self._translated(f"inspect network {network}"):
                found = self._api.inspect_network(network).get("Peers") or ()
                return frozenset(checked(peer["IP"], str) for peer in found)
        except EngineError as error:
            if "not found" in str(error):
                return None
            raise

    def nodes(self) -> tuple[Node, ...]:
        return self._rows("list nodes", APIClient.nodes, read_node)

    def services(self) -> tuple[Service, ...]:
        return self._rows("list services", APIClient.services, read_service)

    def tasks(self, **filters: list[str]) -> tuple[Task, ...]:
        """List the tasks that match the filters, such as ``service=[id]`` or ``node=[id]``."""
        if filters:
            return self._rows("list tasks", lambda api: api.tasks(filters), read_task)
        with (
            self._translated("list all tasks", ALL_TASKS_TIMEOUT_S),
            self._api.get(self._url("/tasks"), timeout=ALL_TASKS_TIMEOUT_S, stream=True) as answer,
        ):
            check(answer)
            return tuple(map(read_task, rows(answer.iter_content(CHUNK))))

    def snapshot(
        self,
        on: Collection[str] = (),
        of: Collection[str] = (),
        other_tasks: Callable[[], tuple[Task, ...]] | None = None,
    ) -> Snapshot:
        """Read the swarm, with the tasks on evacuating nodes and those in ``on``, and of their services.

        ``of`` names further services by id. In a big swarm most tasks are of no concern: those are added only
        where room must be counted, from ``task_cache``, which may be some seconds old, else from the engine.
        """
        nodes, services = self.nodes(), self.services()
        leaving = sorted({node.id for node in nodes if EVACUATION_DEADLINE_LABEL in node.labels} | set(on))
        there = self.tasks(node=leaving) if leaving else ()
        near = {task.service for task in there if task.is_present} | set(of)
        marked = {service.id for service in services if {EXCLUSION_LABEL, SURGE_LABEL} & set(service.labels)}
        chosen = [service for service in services if service.id in near | marked]
        ids = [service.id for service in chosen]
        tasks = {task.id: task for task in (*there, *(self.tasks(service=ids) if ids else ()))}
        if any(service.has_reservations for service in chosen):
            rest = (other_tasks or self.tasks)()
            kept = (task for task in rest if task.service not in ids and task.node not in leaving)
            tasks |= {task.id: task for task in kept}
        return Snapshot(nodes, services, tuple(tasks.values()))

    def full_snapshot(self, of: Callable[[Collection[Service]], Collection[str]] | None = None) -> Snapshot:
        """Read the swarm with all its tasks, or with those of the services only that ``of`` chooses (ids).

        The services are read before their tasks: what was chosen by is what the snapshot shows.
        """
        services = self.services()
        ids = sorted(of(services)) if of else []
        return Snapshot(self.nodes(), services, self.tasks(service=ids) if ids else self.tasks())

    def config(self, name: str) -> Config | None:
        """Find the config of that name; None where there is none."""
        with self._translated(f"look for config {name}"):
            found = tuple(map(read_config, self._api.configs({"name": name})))
        return next((config for config in found if config.name == name), None)  # the filter takes prefixes

    def create_config(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a config of that name, which only one can; RefusedError for who comes second."""
        message = {"Name": name, "Labels": labels, "Data": b64encode(name.encode()).decode()}
        self._order(f"create config {name}", "/configs/create", message)

    def update_config(self, config: Config, labels: Mapping[str, str]) -> None:
        """Give a config other labels."""
        what, path = f"update config {config.name}", f"/configs/{config.id}/update"
        self._order(what, path, {**config.spec, "Labels": labels}, version=config.version)

    def update_node(self, node: Node, **changes: Any) -> None:
        """Change fields of a node's spec, such as Availability, Role or Labels."""
        with self._translated(f"update node {node.hostname} ({node.id})"):
            self._api.update_node(node.id, node.version, {**node.spec, **changes})

    def update_service(self, service: Service, spec: Spec) -> None:
        """Give a service this spec, exactly; its registry credentials stay those of the old one."""
        # The SDK's own update_service rebuilds the spec from arguments and loses what it does not know.
        what, path = f"update service {service.name} ({service.id})", f"/services/{service.id}/update"
        self._order(what, path, spec, version=service.version, registryAuthFrom="spec")

    def remove_node(self, node: Node, *, force: bool = False) -> None:
        """Remove a node by its exact id. Swarm refuses managers, and without force what is not down."""
        with self._translated(f"remove node {node.hostname} ({node.id})"):
            self._api.remove_node(node.id, force=force)

    def networks(self) -> tuple[Network, ...]:
        """List every network that this engine knows: the swarm's and its own."""
        return self._rows("list networks", APIClient.networks, read_network)

    def configs_of(self, stack: str) -> tuple[Config, ...]:
        """List the configs that belong to a stack."""
        filters = {"label": f"{NAMESPACE_LABEL}={stack}"}
        return self._rows("list configs", lambda api: api.configs(filters), read_config)

    def remove_config(self, config: Config) -> None:
        """Remove a config; RefusedError where a service uses it."""
        with self._translated(f"remove config {config.name} ({config.id})"):
            self._api.remove_config(config.id)

    def secret_names(self) -> frozenset[str]:
        """List the names of all secrets; no engine ever tells what is in them."""
        return frozenset(self._rows("list secrets", APIClient.secrets, lambda row: str(row["Spec"]["Name"])))

    def create_secret(self, name: str, content: bytes) -> None:
        """Store a secret; RefusedError where there is one of that name."""
        self._order(
            f"create secret {name}", "/secrets/create", {"Name": name, "Data": b64encode(content).decode()}
        )

    def node_events(self, quiet: float) -> Iterator[NodeEvent]:
        """Yield node events as they come, until the connection ends or is quiet too long.

        A manager that lost its power says no goodbye: after ``quiet`` seconds it is better to ask anew.
        """
        self.renew()  # what listens for long may meet newer engines, and another one each time
        with self._translated("tell node events"):
            asked = {"filters": '{"type":["node"]}'}
            answer = self._api.get(
                self._url("/events"), params=asked, stream=True, timeout=(ANSWER_TIMEOUT_S, quiet)
            )
            check(answer)
        return _events(answer)


def _events(answer: Response) -> Iterator[NodeEvent]:
    with answer, suppress(RequestException, *MALFORMED):  # it broke, perhaps within a line
        for line in answer.iter_lines(chunk_size=None):
            yield read_node_event(json.loads(line))
