"""Take the routing mesh away: the network ``ingress``, once no service publishes through it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from typing import Union

from bootstrap.clock import Clock
from bootstrap.engine.network import Network
from bootstrap.errors import AgentError
from bootstrap.log import say
from bootstrap.network.plugin import NetworkHost

POLL_S = 0.5
REMOVAL_S = 30.0


class IngressStep(str, Enum):
    """One step towards a swarm without a routing mesh."""

    DONE = "done"
    REMOVE = "remove"
    WAIT = "wait"
    STOP = "stop"


def next_ingress_step(
    networks: Collection[Network], publishers: Sequence[str], asked: str
) -> tuple[IngressStep, str, Union[Network, None]]:
    """Choose the next step, with its reason; ``asked`` is the id of the one whose removal was asked for."""
    mesh = next((one for one in networks if one.is_ingress), None)
    if mesh is None:
        return IngressStep.DONE, "there is no routing mesh", None
    if mesh.id == asked:
        return IngressStep.WAIT, f"network {mesh.name} is being removed", mesh
    if publishers:
        return (
            IngressStep.STOP,
            (
                f"{', '.join(publishers)} publish ports through it: publish those in mode host, or remove "
                "the services"
            ),
            mesh,
        )
    return IngressStep.REMOVE, "no service publishes through it", mesh


def remove_ingress(host: NetworkHost, clock: Clock, *, dry_run: bool = False) -> str:
    """Remove the routing mesh; answers what was done. Run again, it changes nothing.

    Raises AgentError, and leaves it as it is, where a service publishes through it.
    """
    host.engine.node_id()
    asked, until = "", clock.now() + REMOVAL_S
    while True:
        step, why, mesh = next_ingress_step(host.engine.networks(), host.calls.publishers(), asked)
        if step is IngressStep.STOP:
            raise AgentError(f"network {mesh.name if mesh else ''} was left as it is: {why}")
        if step is not IngressStep.WAIT:
            say(f"ingress: {step.value}: {why}")
        if step is IngressStep.DONE or dry_run:
            return f"{step.value}: {why}"
        if clock.now() > until:
            raise AgentError(f"{why} for {REMOVAL_S:g} s already; look again (docker network ls)")
        if step is IngressStep.REMOVE and mesh:
            host.calls.remove_network(mesh.id)
            asked = mesh.id
        clock.sleep(POLL_S)
