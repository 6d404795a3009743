"""The managers of a simulated swarm: who has a vote, and that no change of roles costs the quorum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bootstrap.engine.node import Node
from bootstrap.membership.quorum import next_demotion, next_promotion
from tests.unit.chalicelib.support.fakes import MANAGERS


@dataclass
class Voters:
    """Roles change by the agent's own rules; ``alive`` tells whether an instance runs."""

    alive: Callable[[str], bool] = lambda _: True
    votes: set[str] = field(default_factory=lambda: set(MANAGERS))
    lost: bool = False  # whether somebody ever found that no majority answered

    @property
    def quorum(self) -> bool:
        """Whether a majority of those with a vote answers."""
        kept = 2 * sum(map(self.alive, self.votes)) > len(self.votes)
        self.lost = self.lost or not kept
        return kept

    def demote(self, name: str, by: str) -> bool:
        """Whether it has no vote now; a manager does not take its own."""
        if name in self.votes and name != by and next_demotion(self._nodes(), [name])[0]:
            self.votes.discard(name)
            assert self.quorum, f"demoting {name} cost the quorum of {self.votes}"
        return name not in self.votes

    def promote(self, name: str) -> bool:
        """Whether it has a vote now."""
        if name not in self.votes and next_promotion(self._nodes())[0]:
            self.votes.add(name)
            assert self.quorum, f"promoting {name} cost the quorum of {self.votes}"
        return name in self.votes

    def _nodes(self) -> list[Node]:
        return [self._node(name) for name in sorted(self.votes)]

    def _node(self, name: str) -> Node:
        alive = self.alive(name)
        state, reachability = ("ready", "reachable") if alive else ("down", "unreachable")
        return Node(name, 1, {}, state, "", name, {}, ("", ""), 0, 0, reachability)
