"""A host in memory that can join a swarm in memory, with an engine's measured habits.

* a join that takes longer than 20 s goes on in the background, and the engine says so in an error;
* labels are taken over when the engine reloads its settings, not before;
* a worker that was removed from its swarm goes on calling itself active.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bootstrap.engine.client import Engine, EngineError
from bootstrap.engine.node import Membership
from bootstrap.host.host import Host
from bootstrap.host.instance_metadata import Identity
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance

TOKENS = {"worker": "SWMTKN-1-cafe-worker", "manager": "SWMTKN-1-cafe-manager"}
NUMBER = 77
ADDRESS = f"10.0.0.{NUMBER}"


class FakeEngine(Engine):
    """The engine of a host that is in no swarm yet; it joins ``swarm``."""

    def __init__(self, swarm: FakeSwarm) -> None:
        self.swarm = swarm
        self.seen = Membership("inactive")
        self.settings: dict[str, str] = {}
        self.takes = 0.0  # seconds that a join takes
        self.slow: set[str] = set()  # managers where a join never ends
        self.ready_at = 0.0
        self.joins: list[str] = []
        self.leaves = 0

    def membership(self) -> Membership:
        if self.seen.state == "pending" and self.swarm.time >= self.ready_at:
            self._arrive()
        return self.seen

    def join(self, at: str, token: str, address: str) -> None:
        assert address == ADDRESS
        self.joins.append(at)
        if self.seen.state != "inactive":
            raise EngineError('This node is already part of a swarm. Use "docker swarm leave"')
        if token not in TOKENS.values():
            raise EngineError(f"a valid join token is necessary to join this cluster, not {token}")
        self.role = next(role for role, known in TOKENS.items() if known == token)
        self.seen = replace(self.seen, state="pending")
        takes = 1e9 if at in self.slow else self.takes
        self.ready_at = self.swarm.time + takes
        if takes > 20:
            self.swarm.sleep(20)
            raise EngineError("Timeout was reached before node joined. It will continue in the background.")
        self.swarm.sleep(max(takes, 0.25))
        self._arrive()

    def leave(self) -> None:
        self.leaves += 1
        if self.seen.node in self.swarm.node_rows:
            self.swarm.cut(self.seen.node)
        self.seen = Membership("inactive", engine_labels=self.seen.engine_labels)

    def _arrive(self) -> None:
        node = self.swarm.add_node(self.role)
        row = self.swarm.node_rows[node]
        row["Spec"]["Availability"] = "drain"
        row["Status"]["Addr"] = ADDRESS
        if "ManagerStatus" in row:
            row["ManagerStatus"]["Addr"] = f"{ADDRESS}:2377"
        row["Description"]["Engine"]["Labels"] = dict(self.seen.engine_labels)
        known = frozenset(node.address for node in self.swarm.nodes() if node.role == "manager")
        self.seen = replace(self.seen, state="active", node=node, managers=known)


@dataclass(frozen=True)
class FakeHost(Host):
    """The machine around a FakeEngine; ``silent`` are addresses where no manager listens."""

    engine: FakeEngine = field(kw_only=True)
    tokens: dict[str, str] = field(default_factory=lambda: dict(TOKENS))
    silent: set[str] = field(default_factory=set)
    read: list[str] = field(default_factory=list)
    warm: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "daemon", FakeDaemon(self.engine))

    def identity(self) -> Identity:
        return Identity(instance(NUMBER), ADDRESS, "us-east-1b", "c5.large", "spot")

    def is_warm(self) -> bool:
        return self.warm

    def token(self, cluster: str, role: str) -> str:
        assert cluster == "blue"
        self.read.append(role)
        return self.tokens[role]

    def store_tokens(self, cluster: str, tokens: Mapping[str, str]) -> None:
        assert cluster == "blue"
        for role in sorted(tokens):
            self.put(role, tokens[role])

    def put(self, role: str, token: str) -> None:
        """One call of Parameter Store: it may be the last one."""
        self.tokens[role] = token

    def stored_tokens(self, cluster: str) -> dict[str, str]:
        assert cluster == "blue"
        return {role: self.tokens.get(role, "") for role in ("manager", "worker")}

    def reaches(self, address: str) -> bool:
        return address not in self.silent


@dataclass
class FakeDaemon:
    """The settings file and the signal."""

    engine: FakeEngine

    def check_labels_can_be_set(self) -> None:
        pass

    def set_labels(self, labels: Mapping[str, str]) -> bool:
        changed = not labels.items() <= self.engine.settings.items()
        self.engine.settings.update(labels)
        return changed

    def reload(self) -> None:
        self.engine.seen = replace(self.engine.seen, engine_labels=dict(self.engine.settings))


def killing(effect: Callable[..., Any], when: Callable[[], bool], side: str) -> Callable[..., Any]:
    """Let the process die before or after the effect, when it is time."""

    def call(*args: Any, **changes: Any) -> Any:
        mine = when()
        if mine and side == "before":
            raise Killed
        answer = effect(*args, **changes)
        if mine:
            raise Killed
        return answer

    return call


class Killed(BaseException):
    """The agent's process ended here."""
