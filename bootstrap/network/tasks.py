"""What Run Command can order about networks: the same as the commands for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.errors import AgentError
from bootstrap.network.ingress import remove_ingress
from bootstrap.network.networks import WantedRange, create_network
from bootstrap.network.peers import GonePeer, remove_peer
from bootstrap.network.plugin import TIMEOUT_S, NetworkHost, ensure_plugin, read_facts
from bootstrap.network.plugin_steps import PluginStep, Progress, WantedPlugin, describe, next_plugin_step
from bootstrap.network.ranges import OVERLAY
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.description import PLUGIN_RANGE
from chalicelib.protocol.messages import AgentTask, Arguments, Result

POLL_S = 1.0


def run(task: AgentTask, engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Do it; how it stands then is in the facts, as ``said``. Raises AgentError with what was left."""
    said = DO[task](NetworkHost.behind(engine), arguments, clock)
    return Result(task, ok=True, facts={"said": said})


def install_plugin(host: NetworkHost, arguments: Arguments, clock: Clock, *, is_whole: bool = False) -> str:
    """Install the plugin, or see that it is there; with ``is_whole`` until all peers are connected."""
    order = arguments.network
    if order.driver in ("", OVERLAY):
        raise AgentError(
            "driver overlay is part of the engine, and there is no plugin to install: name the plugin's "
            "reference; nothing was changed"
        )
    deadline = arguments.deadline or clock.now() + TIMEOUT_S
    plugin_range = order.range or PLUGIN_RANGE
    wanted = WantedPlugin(order.driver, plugin_range, arguments.managers, order.peers, is_whole)
    if is_whole and not order.peers:
        wanted = replace(wanted, peers=until_deadline(lambda: _count_peers(host), clock, deadline, POLL_S))
    if order.dry_run:
        step, why = next_plugin_step(read_facts(host, wanted), wanted, Progress())
        return f"{step.value}: {why}"
    facts = ensure_plugin(host, wanted, clock, deadline)
    return f"{PluginStep.DONE.value}: {describe(facts.status)}" if facts.status else PluginStep.DONE.value


def _count_peers(host: NetworkHost) -> int:
    """Count the nodes that are Ready, where this host can tell; 0 on a worker."""
    if not host.engine.membership().is_manager:
        return 0
    return sum(node.state == "ready" for node in host.engine.nodes())


def _remove_peer(host: NetworkHost, arguments: Arguments, clock: Clock) -> str:
    order = arguments.network
    if not order.peer:
        raise AgentError("no peer is named: give the host name of the one that is gone; nothing was changed")
    peer = GonePeer(order.peer, order.address, takes_over=not order.forget_only)
    return remove_peer(host, peer, clock, dry_run=order.dry_run)


def _create_network(host: NetworkHost, arguments: Arguments, clock: Clock) -> str:
    order = arguments.network
    if not (order.name and order.subnet):
        raise AgentError("a network needs a name and a subnet such as 10.32.100.0/24; nothing was made")
    wanted = WantedRange(
        order.name, order.driver or OVERLAY, order.subnet, order.gateway, order.range or PLUGIN_RANGE
    )
    return create_network(host, wanted, clock, dry_run=order.dry_run)


def _remove_ingress(host: NetworkHost, arguments: Arguments, clock: Clock) -> str:
    return remove_ingress(host, clock, dry_run=arguments.network.dry_run)


DO: dict[AgentTask, Callable[[NetworkHost, Arguments, Clock], str]] = {
    AgentTask.INSTALL_PLUGIN: install_plugin,
    AgentTask.VERIFY_PLUGIN: partial(install_plugin, is_whole=True),
    AgentTask.REMOVE_PEER: _remove_peer,
    AgentTask.CREATE_NETWORK: _create_network,
    AgentTask.REMOVE_INGRESS: _remove_ingress,
}
RUN = {task: partial(run, task) for task in DO}
