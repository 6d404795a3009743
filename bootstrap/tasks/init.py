"""Make this host the first manager of its cluster's swarm, and store the join tokens of both roles."""

from __future__ import annotations

import re
from dataclasses import replace

from bootstrap.actions import ChangeNode
from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.errors import AgentError
from bootstrap.host.host import Host, cluster_of, labels_of
from bootstrap.host.instance_metadata import Identity
from bootstrap.host.parameter_store import parameter_name
from bootstrap.log import say
from bootstrap.membership.activation import ManagerView, next_activation
from bootstrap.tasks.activate import perform_step
from bootstrap.tasks.join import THIS_HOST, label_engine
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result, Target


def run(engine: Engine, arguments: Arguments, clock: Clock, host: Host = THIS_HOST) -> Result:
    """Start the swarm unless this host manages one, label its node, store the tokens unless they are stored.

    Raises AgentError where the cluster has a swarm already, which this host is not a manager of; so has one
    whose tokens are stored, also if it is of another stage.
    """
    started, identity, cluster = clock.now(), check_named(arguments, host), cluster_of(arguments)
    label_engine(engine, {**arguments.labels, **labels_of(identity)}, clock, host)
    seen = engine.membership()
    if seen.state not in ("inactive", "active") or (seen.state == "active" and not seen.is_manager):
        raise AgentError(
            f"this host is in a swarm, as no manager (its state is {seen.state}): "
            "run docker swarm leave --force here, if it shall be the first manager"
        )
    if seen.is_manager and not arguments.fresh:
        refuse_tokens_of_another_swarm(engine, cluster, host)
    if seen.state == "inactive":
        if not arguments.fresh:
            _refuse_a_second_swarm(cluster, host)
        say(f"start the swarm at {identity.address}")
        engine.init(identity.address)
    store_tokens(engine, cluster, host)
    node = engine.node_id()
    target = _own_target(arguments, identity, node)
    while isinstance(step := next_activation(target, _view(engine, clock.now()), cluster), ChangeNode):
        perform_step(engine, step)
    report = NodeReport(
        identity.instance, node, Fate.JOINED, "it is a manager", round(clock.now() - started, 2)
    )
    return Result(AgentTask.INIT, ok=True, nodes=(report,))


def _own_target(arguments: Arguments, identity: Identity, node: str) -> Target:
    """Complete what the arguments say of this host, which a person has named, with what it says itself."""
    named = arguments.targets[0]
    return replace(
        named,
        address=identity.address,
        node=node,
        role=named.role or arguments.role,
        zone=named.zone or identity.zone,
        kind=named.kind or identity.kind,
        lifecycle=named.lifecycle or identity.lifecycle,
    )


def check_named(arguments: Arguments, host: Host) -> Identity:
    """Check that this host is the one that was named: what follows cannot be undone. Raises AgentError."""
    identity = host.identity()
    if [target.instance for target in arguments.targets] != [identity.instance]:
        raise AgentError(f"this host is {identity.instance}, which is not the one that was named")
    return identity


def store_tokens(engine: Engine, cluster: str, host: Host) -> None:
    """Store the swarm's join tokens unless they are what is stored. Raises AgentError."""
    tokens = engine.tokens()
    if host.stored_tokens(cluster) != tokens:
        say(f"store the join tokens of {cluster}, encrypted")
        host.store_tokens(cluster, tokens)


def _refuse_a_second_swarm(cluster: str, host: Host) -> None:
    if any(host.stored_tokens(cluster).values()):
        raise AgentError(
            f"{cluster} has join tokens, so it has a swarm: let this host join that one; if it is gone for "
            f"good, forget its tokens first: {write_forget_tokens(cluster, host)}"
        )


def refuse_tokens_of_another_swarm(engine: Engine, cluster: str, host: Host) -> None:
    """Keep what is stored of another swarm: hosts that belong there would join this one. Raises AgentError.

    Nothing tells whether the swarm's own CA was rotated, which makes tokens look like another swarm's: then a
    person says so by deleting them.
    """
    own, stored = engine.tokens(), host.stored_tokens(cluster)
    if any(token and _swarm_of(token) != _swarm_of(own[role]) for role, token in stored.items()):
        raise AgentError(
            f"the join tokens of {cluster} are another swarm's, such as that of a cluster of this name in "
            "another stage, so nothing was stored: tag this cluster with another name; after docker swarm ca "
            f"--rotate, or if the other swarm is gone for good: {write_forget_tokens(cluster, host)}, "
            "then call this again"
        )


def write_forget_tokens(cluster: str, host: Host) -> str:
    """Write how to delete what is stored of a swarm. A zone's name begins with its region's."""
    names = " ".join(parameter_name(cluster, role) for role in ("manager", "worker"))
    region = re.match(r"[a-z-]+?-\d+", host.identity().zone)
    return f"aws ssm delete-parameters --names {names}" + (f" --region {region[0]}" if region else "")


def _swarm_of(token: str) -> str:
    """Return what tokens of one swarm have in common, its CA's digest; the secret behind it is rotated."""
    return token.rpartition("-")[0]


def _view(engine: Engine, now: float) -> ManagerView:
    return ManagerView(engine.nodes(), None, engine.membership().managers, now)
