"""Bring a swarm back whose managers have lost their quorum for good, from the state of one named manager."""

from __future__ import annotations

from bootstrap.actions import try_action
from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.errors import AgentError
from bootstrap.host.host import Host, cluster_of
from bootstrap.log import say
from bootstrap.membership.orphans import Orphans
from bootstrap.membership.quorum import has_quorum
from bootstrap.tasks.init import check_named, refuse_tokens_of_another_swarm, store_tokens
from bootstrap.tasks.join import THIS_HOST, poll_membership
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result

POLL_S = 1.0
ELECTION_S = 20.0  # for which the quorum must be seen to be lost; an election takes a few
TIMEOUT_S = 60.0  # for the new swarm to answer
ORPHANS_S = 30.0  # to find nodes that are nobody's, and to remove them
# Measured on 28.5: the engine stops its manager, then fails; started again it is locked, and without a quorum
# neither unlocking nor forcing a new swarm after it ends.
AUTOLOCKED = (
    "this swarm is autolocked: Docker cannot force a new one from it, so nothing was changed. Start lost "
    "managers again and run docker swarm unlock on each, until most answer. If they are gone for good, make "
    "a new swarm: docs/operations.md#an-autolocked-swarm"
)


def run(engine: Engine, arguments: Arguments, clock: Clock, host: Host = THIS_HOST) -> Result:
    """Force a new swarm of this one manager; services, networks, tokens and workers stay.

    The other managers must be gone for good: they no longer count, and ``leave`` removes them. Raises
    AgentError, and changes nothing, where there is a quorum, where this host has no manager's state, or where
    that is locked: the engine stops the manager before it finds that it cannot start it again.
    """
    started, identity, cluster = clock.now(), check_named(arguments, host), cluster_of(arguments)
    seen = poll_membership(engine, clock, started + TIMEOUT_S)
    if seen.state != "active" or not seen.is_manager:
        raise AgentError(f"this host has no manager's state (it is {seen.state}): name one that has")
    if seen.is_autolocked:
        raise AgentError(AUTOLOCKED)
    if _has_lost_quorum(engine, clock):
        say(f"force a new swarm from the state of {identity.address}: the quorum is lost")
        engine.init(identity.address, force=True)
    elif not _was_forced(engine):
        raise AgentError("the managers have a quorum, so nothing was changed: demote the dead ones instead")
    _await_leader(engine, clock)
    _remove_orphans(engine, clock)
    _store_tokens(engine, cluster, host)
    node = engine.node_id()
    seconds = round(clock.now() - started, 2)
    report = NodeReport(identity.instance, node, Fate.JOINED, "it is the only manager now", seconds)
    return Result(AgentTask.RECOVER, ok=True, nodes=(report,))


def _store_tokens(engine: Engine, cluster: str, host: Host) -> None:
    """Store the tokens, which a forced swarm keeps, unless others are stored. Raises AgentError.

    Without a quorum no engine tells its tokens, so this cannot be checked before.
    """
    try:
        refuse_tokens_of_another_swarm(engine, cluster, host)
    except AgentError as refusal:
        raise AgentError(f"the swarm is back, with this host as its only manager, but {refusal}") from None
    store_tokens(engine, cluster, host)


def _has_lost_quorum(engine: Engine, clock: Clock) -> bool:
    """Tell whether no majority of the managers answers, for longer than an election takes.

    A leader whose followers died goes on listing nodes for some 15 s, then refuses (measured).
    """
    until = clock.now() + ELECTION_S

    def poll() -> bool | None:
        if clock.now() >= until:
            return False
        if has_quorum(engine.nodes()):
            return True
        say("fewer than a majority of the managers answer; polling again")
        return None

    if until_deadline(poll, clock, until, POLL_S, gives_up=lambda: False):
        return False
    return poll_membership(engine, clock, until + TIMEOUT_S).is_leaderless


def _was_forced(engine: Engine) -> bool:
    """Tell whether an earlier run forced the new swarm: there are managers that count for nothing."""
    managers = [node for node in engine.nodes() if node.role == "manager"]
    return sum(node.has_vote for node in managers) == 1 < len(managers)


def _await_leader(engine: Engine, clock: Clock) -> None:
    """Wait until the new swarm answers. Raises EngineError."""
    until_deadline(lambda: has_quorum(engine.nodes()) or None, clock, clock.now() + TIMEOUT_S, POLL_S)


def _remove_orphans(engine: Engine, clock: Clock) -> None:
    """Remove the nodes that joins left behind without a quorum: they would count as managers for ever."""
    orphans = Orphans()

    def poll() -> bool | None:
        removals = orphans.removals(engine.nodes(), clock.now())
        if removals is None or clock.now() > until:
            return True
        for removal in removals:
            try_action(engine, removal)
        return None

    until = clock.now() + ORPHANS_S
    until_deadline(poll, clock, until, POLL_S)
