"""Hosts of a simulated cluster, whose commands change a swarm."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.events import Answer
from chalicelib.protocol.codec import encode_result
from chalicelib.protocol.messages import SHORT, AgentTask, Fate, Listing, NodeReport, Result, Target
from chalicelib.state.instance import Role
from chalicelib.state.job import Job
from chalicelib.state.lifecycle import PLACES
from chalicelib.state.node import Node
from tests.unit.chalicelib.support.fakes import USUAL, FakeHosts, Sent
from tests.unit.chalicelib.support.voters import Voters

if TYPE_CHECKING:
    from chalicelib.protocol.messages import Arguments


@dataclass
class LivingHosts(FakeHosts):
    """Hosts whose commands change a swarm when they end; some commands fail without a change."""

    swarm: dict[str, str] = field(default_factory=dict)  # instance -> availability
    left: set[str] = field(default_factory=set)  # whose engines are in no swarm, though one lists them
    voters: Voters = field(default_factory=Voters)
    results: dict[tuple[str, str], Answer] = field(default_factory=dict)
    fails: Iterator[bool] = field(default_factory=lambda: itertools.repeat(False))
    failing: set[AgentTask] = field(default_factory=set)  # always
    ends: Callable[[Sent], None] = lambda _: None
    alive: Callable[[str], bool] = lambda _: True
    tagged: Callable[[str], Role] = lambda _: Role.WORKER
    records: Callable[[str], Node | None] = lambda _: None
    jobs: Callable[[], tuple[Job, ...]] = lambda: ()

    def send(
        self, hosts: tuple[str, ...], cluster: str, task: AgentTask, arguments: Arguments, seconds: int
    ) -> str:
        if task not in PLACES:
            claimed = [job for job in self.jobs() if (job.task, job.manager) == (task, *hosts)]
            assert [(job.is_open, job.command) for job in claimed] == [(True, "")], "claimed, then sent"
        for target in arguments.targets if task in PLACES else ():
            node = self.records(target.instance)
            assert node is not None, "intent comes before the command"
            assert node.task is task, "nothing is sent that no record is open for"
        command = super().send(hosts, cluster, task, arguments, seconds)
        for sent in self.sent[-len(hosts) :]:
            self.ends(sent)
        return command

    def find_reachable(self, instances: tuple[str, ...]) -> frozenset[str]:
        return frozenset(filter(self.alive, instances))

    def fetch_answer(self, command: str, manager: str) -> Answer:
        found = next(sent for sent in self.sent if (sent.id, sent.manager) == (command, manager))
        comment = f"{found.task.value} {found.cluster}"
        return self.results.get((command, manager), Answer("InProgress", comment))

    def finish(self, sent: Sent) -> None:
        """End the command now."""
        comment = f"{sent.task.value} {sent.cluster}"
        # Looks draw nothing: they come in step with other commands, which then would fail for ever.
        unlucky = sent.task is not AgentTask.INSPECT and next(self.fails)
        broken = sent.task in self.failing or unlucky or not self.alive(sent.manager)
        if broken or not self._managed(sent):
            self.results[sent.id, sent.manager] = Answer("Failed", comment, "", "swarmkeeper: it broke\n")
            return
        if sent.task is AgentTask.INSPECT:
            output = encode_result(Result(sent.task, ok=True, listing=self._listing()))
            self.results[sent.id, sent.manager] = Answer("Success", comment, output)
            return
        mine = [one.instance for one in sent.arguments.targets]
        reports = tuple(
            NodeReport(name, node_of(name), self._fate(sent, name))
            for name in mine
            if sent.task is not AgentTask.JOIN or name == sent.manager
        )
        output = encode_result(Result(sent.task, ok=True, nodes=reports))
        self.results[sent.id, sent.manager] = Answer("Success", comment, output)

    def _listing(self) -> Listing:
        dead = (name for name in sorted(self.swarm) if name in self.left or not self.alive(name))
        down = tuple(Target(name, "10.0.9.9", node_of(name)) for name in dead)
        ids = tuple(node_of(name)[:SHORT] for name in self.swarm)
        managers = tuple(node_of(name)[:SHORT] for name in sorted(self.voters.votes))
        return Listing(len(self.swarm), down, ids=ids, managers=managers)

    def _managed(self, sent: Sent) -> bool:
        """Whether the swarm can change anything, and the task is on a manager if it has to be."""
        anywhere = sent.task in (AgentTask.JOIN, AgentTask.INIT)
        return self.voters.quorum and (anywhere or sent.manager in self.voters.votes)

    def _fate(self, sent: Sent, name: str) -> Fate:
        if sent.task not in PLACES:
            return USUAL[sent.task]
        manages = self.tagged(name) is Role.MANAGER
        if sent.task is AgentTask.JOIN:
            if name in self.left or name not in self.swarm:
                self.swarm[name] = "drain"
            self.left.discard(name)
            if manages:
                self.voters.votes.add(name)
            return Fate.JOINED
        if name not in self.swarm:
            return Fate.ABSENT
        alive = self.alive(name) and name not in self.left
        if sent.task is AgentTask.LEAVE:
            return self._leaves(sent, name, alive=alive)
        if not alive:
            return Fate.UNFINISHED if sent.task is AgentTask.ACTIVATE else Fate.DOWN
        if sent.task is AgentTask.ACTIVATE and manages and not self.voters.promote(name):
            return Fate.UNFINISHED
        self.swarm[name] = "drain" if sent.task is AgentTask.EVACUATE else "active"
        if sent.task is AgentTask.EVACUATE:
            self.voters.demote(name, sent.manager)  # an evacuation is over also where that may not be
        return Fate.SAFE if sent.task is AgentTask.EVACUATE else Fate.ACTIVE

    def _leaves(self, sent: Sent, name: str, *, alive: bool) -> Fate:
        if alive:
            return Fate.ALIVE
        if not self.voters.demote(name, sent.manager):
            return Fate.KEPT
        del self.swarm[name]
        return Fate.REMOVED


def node_of(name: str) -> str:
    """Return the id of an instance's node."""
    return f"node{name[-3:]}"
