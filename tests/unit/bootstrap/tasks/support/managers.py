"""The engine of a manager that may lose the others, and calls of its tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bootstrap.engine.client import EngineError
from bootstrap.engine.node import Membership, Node
from bootstrap.tasks import init
from chalicelib.protocol.messages import Arguments, Result, Target
from tests.unit.bootstrap.support.fake_host import ADDRESS, NUMBER, TOKENS, FakeEngine, FakeHost
from tests.unit.bootstrap.support.fake_swarm import instance

LABELS = {"swarmkeeper.cluster": "blue", "swarmkeeper.role": "manager"}
LEADERLESS = "The swarm does not have a leader."


class Manager(FakeEngine):
    """The engine of a host that may become a manager, or lose the others."""

    rotations = 0
    quorum = True

    def node_id(self) -> str:
        return self.seen.node

    def init(self, address: str, *, force: bool = False) -> None:
        if force:
            for row in self.swarm.node_rows.values():
                if row["ID"] != self.seen.node:
                    row.pop("ManagerStatus", None)
            self.quorum = True
            return
        assert (self.seen.state, address) == ("inactive", ADDRESS)
        self.role = "manager"
        self._arrive()
        self.seen = replace(self.seen, is_manager=True)

    def tokens(self) -> dict[str, str]:
        return {role: f"{token}-{self.rotations}" for role, token in TOKENS.items()}

    def rotate_tokens(self) -> None:
        self.rotations += 1

    def nodes(self) -> tuple[Node, ...]:
        if not self.quorum:
            raise EngineError(LEADERLESS)
        return self.swarm.nodes()

    def update_node(self, node: Node, **changes: Any) -> None:
        self.swarm.update_node(node, **changes)

    def remove_node(self, node: Node, *, force: bool = False) -> None:
        self.swarm.remove_node(node, force=force)

    def membership(self) -> Membership:
        return self.seen if self.quorum else replace(self.seen, error=LEADERLESS)


def call(task: Any, host: FakeHost, number: int = NUMBER) -> Result:
    arguments = Arguments((Target(instance(number), ADDRESS),), role="manager", labels=LABELS)
    result: Result = task.run(host.engine, arguments, host.engine.swarm.clock, host)
    return result


def without_quorum(host: FakeHost) -> FakeHost:
    """Make the first of three managers, the others of which are dead."""
    engine = host.engine
    assert isinstance(engine, Manager)
    call(init, host)
    for _ in range(2):
        node = engine.swarm.add_node("manager")
        engine.swarm.node_rows[node]["ManagerStatus"]["Reachability"] = "unreachable"
        engine.swarm.cut(node)
    engine.quorum = False
    return host
