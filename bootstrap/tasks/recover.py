"""Bring a swarm back whose managers have lost their quorum for good, from the state of one named manager."""

from __future__ import annotations

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, EngineError
from bootstrap.errors import AgentError
from bootstrap.host.host import Host, cluster_of
from bootstrap.membership.quorum import has_quorum
from bootstrap.tasks.evacuate import say
from bootstrap.tasks.init import named, store
from bootstrap.tasks.join import THIS_HOST, look
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result

POLL_S = 1.0  # seconds
ELECTION_S = 20.0  # seconds for which the quorum must be seen to be lost; an election takes a few
TIMEOUT_S = 60.0  # seconds for the new swarm to answer


def run(engine: Engine, arguments: Arguments, clock: Clock, host: Host = THIS_HOST) -> Result:
    """Force a new swarm of this one manager; services, networks, tokens and workers stay.

    The other managers must be gone for good: they no longer count, and ``leave`` removes them. Raises
    AgentError, and changes nothing, where there is a quorum or this host has no manager's state.
    """
    began, identity, cluster = clock.now(), named(arguments, host), cluster_of(arguments)
    seen = look(engine, clock, began + TIMEOUT_S)
    if seen.state != "active" or not seen.is_manager:
        raise AgentError(f"this host has no manager's state (it is {seen.state}): name one that has")
    if _quorum_lost(engine, clock):
        say(f"force a new swarm from the state of {identity.address}: the quorum is lost")
        engine.init(identity.address, force=True)
    elif not _begun(engine):
        raise AgentError("the managers have a quorum, so nothing was changed: demote the dead ones instead")
    _await_leader(engine, clock)
    store(engine, cluster, host)
    node = engine.node_id()
    seconds = round(clock.now() - began, 2)
    report = NodeReport(identity.instance, node, Fate.JOINED, "it is the only manager now", seconds)
    return Result(AgentTask.RECOVER, ok=True, nodes=(report,))


def _quorum_lost(engine: Engine, clock: Clock) -> bool:
    """Whether no majority of the managers answers, for longer than an election takes.

    A leader whose followers died goes on listing nodes for some 15 s, then refuses (measured).
    """
    until = clock.now() + ELECTION_S
    while clock.now() < until:
        try:
            if has_quorum(engine.nodes()):
                return False
            say("fewer than a majority of the managers answer; looking again")
        except EngineError as error:
            say(f"{error}; looking again")
        clock.sleep(POLL_S)
    return look(engine, clock, until + TIMEOUT_S).is_leaderless


def _begun(engine: Engine) -> bool:
    """Whether an earlier run forced the new swarm: there are managers that count for nothing."""
    managers = [node for node in engine.nodes() if node.role == "manager"]
    return sum(node.has_vote for node in managers) == 1 < len(managers)


def _await_leader(engine: Engine, clock: Clock) -> None:
    """Wait until the new swarm answers. Raises EngineError."""
    until = clock.now() + TIMEOUT_S
    while True:
        try:
            if has_quorum(engine.nodes()):
                return
        except EngineError as error:
            if clock.now() > until:
                raise
            say(f"{error}; looking again")
        clock.sleep(POLL_S)
