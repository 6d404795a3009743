"""Make this host a member of its cluster's swarm: labelled, drained, and never half-ready."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bootstrap.clock import Clock
from bootstrap.engine.client import PORT, Engine, EngineError
from bootstrap.engine.node import Membership
from bootstrap.errors import AgentError
from bootstrap.host.host import Host, cluster_of, labels_of
from bootstrap.host.instance_metadata import Identity
from bootstrap.log import say
from bootstrap.membership.join_steps import JoinStep, next_join_step
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 1.0
TIMEOUT_S = 120.0
RELOAD_TIMEOUT_S = 10.0  # for a running engine to take over new labels
THIS_HOST = Host()


@dataclass
class Attempt:
    """One run: who this host is, what it shall become, and what was tried so far."""

    identity: Identity
    target: Target
    arguments: Arguments
    tried: Counter[str] = field(default_factory=Counter)
    pending_since: float | None = None
    refused: str = ""

    @property
    def role(self) -> str:
        """What the host shall be."""
        return self.arguments.role or "worker"

    def waited(self, seen: Membership, now: float) -> float:
        """For how many seconds a join has been seen under way without a break."""
        if seen.state != "pending":
            self.pending_since = None
        elif self.pending_since is None:
            self.pending_since = now
        return now - self.pending_since if self.pending_since is not None else 0.0


def run(engine: Engine, arguments: Arguments, clock: Clock, host: Host = THIS_HOST) -> Result:
    """Join, or find that it is done; after a crash at any point, run it again.

    A target's ``node`` is one that the swarm's managers no longer list: only then does an active host leave.
    Raises AgentError, with what keeps it out, where it is no member in time.
    """
    started, identity = clock.now(), host.identity()
    attempt = Attempt(identity, _own_target(identity, arguments), arguments)
    if host.is_warm():
        why = "its Auto Scaling group keeps it in a warm pool: it joins once it enters service"
        return Result(AgentTask.JOIN, ok=False, nodes=(NodeReport(identity.instance, "", Fate.WARM, why),))
    until = arguments.deadline or started + TIMEOUT_S
    label_engine(engine, {**arguments.labels, **labels_of(identity)}, clock, host)
    while True:
        seen = poll_membership(engine, clock, until)
        step, why = next_join_step(seen, attempt.target.node, attempt.waited(seen, clock.now()))
        if step is JoinStep.DONE:
            return _result(attempt, seen, clock.now() - started)
        if step is JoinStep.STOP or clock.now() > until:
            raise AgentError(f"this host does not join: {attempt.refused or why}")
        if step is JoinStep.JOIN:
            _join_swarm(engine, attempt, host)
        elif step is JoinStep.LEAVE:
            _check_can_join(attempt, host)
            say(f"leave the swarm: {why}")
            engine.leave()
        clock.sleep(POLL_S)


def poll_membership(engine: Engine, clock: Clock, until: float) -> Membership:
    """Tell how this host stands; an engine without a leader to ask may take its time. Raises EngineError."""
    return until_deadline(engine.membership, clock, until, POLL_S)


def label_engine(engine: Engine, labels: Mapping[str, str], clock: Clock, host: Host) -> None:
    """See to it that the running engine carries these labels, from its settings file. Raises AgentError."""
    host.daemon.check_labels_can_be_set()
    changed = host.daemon.set_labels(labels)
    if not changed and _carries(engine, labels):
        return
    say(f"label the engine: {', '.join(map('='.join, sorted(labels.items())))}")
    host.daemon.reload()
    until = clock.now() + RELOAD_TIMEOUT_S
    while not _carries(engine, labels):
        if clock.now() > until:
            raise AgentError(
                "the engine does not take over the labels in its settings file: run systemctl restart docker "
                "on this host"
            )
        clock.sleep(POLL_S)


def _carries(engine: Engine, labels: Mapping[str, str]) -> bool:
    return labels.items() <= engine.membership().engine_labels.items()


def _own_target(identity: Identity, arguments: Arguments) -> Target:
    """Find the target that this host is; without targets, whoever it is."""
    if not arguments.targets:
        return Target(identity.instance, identity.address)
    for target in arguments.targets:
        if target.instance == identity.instance:
            return target
    raise AgentError(f"this host is {identity.instance}, which is none of the instances that shall join")


def _check_can_join(attempt: Attempt, host: Host) -> None:
    """See that a host which leaves can join again: leaving cannot be undone. Raises AgentError."""
    _open_managers(attempt, host)
    host.token(cluster_of(attempt.arguments), attempt.role)


def _open_managers(attempt: Attempt, host: Host) -> list[str]:
    """Find the managers that take connections. Raises AgentError where none does."""
    here = attempt.identity.address
    others = [address for address in attempt.arguments.managers if address != here]
    if found := [address for address in others if host.reaches(address)]:
        return found
    said = ", ".join(others) or "none is known"
    raise AgentError(f"no manager takes connections on port {PORT}: {said}; nothing was joined, nothing left")


def _join_swarm(engine: Engine, attempt: Attempt, host: Host) -> None:
    """Join at the manager that was tried least, of those that take connections."""
    here, open_to_us = attempt.identity.address, _open_managers(attempt, host)
    address = min(open_to_us, key=lambda one: attempt.tried[one])
    attempt.tried[address] += 1
    token = host.token(cluster_of(attempt.arguments), attempt.role)
    say(f"join as {attempt.role} at {address}")
    try:
        engine.join(address, token, here)
    except EngineError as error:
        attempt.refused = str(error)
        say(f"{error}; polling again")


def _result(attempt: Attempt, seen: Membership, seconds: float) -> Result:
    known = f"it knows the managers at {', '.join(sorted(seen.managers)) or 'no address'}"
    how = "joined" if attempt.tried else "it is a member already"
    detail = f"{how}; {known}"
    report = NodeReport(attempt.identity.instance, seen.node, Fate.JOINED, detail, round(seconds, 2))
    return Result(AgentTask.JOIN, ok=True, nodes=(report,))
