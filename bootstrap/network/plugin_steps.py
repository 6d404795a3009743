"""What to do next so that this host's network plugin is as it shall be; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Union

from bootstrap.engine.networking.plugin import Plugin
from bootstrap.engine.node import Membership
from bootstrap.network.router_status import RouterStatus

MAX_INSTALLS = 2  # in one run: the first, and one because the first did not come up as it should
START_S = 30.0  # for a router to answer, and to reach the managers
OLD_API = (
    "see the engine's log for its own words; on Docker 29 and later this plugin needs "
    '"min-api-version": "1.24" in daemon.json and a restart of the engine'
)


class PluginStep(str, Enum):
    """One step towards a working plugin."""

    DONE = "done"
    WAIT = "wait"
    INSTALL = "install"
    REMOVE = "remove"
    STOP = "stop"


@dataclass(frozen=True)
class WantedPlugin:
    """Which plugin, with which range. ``managers``: who must have formed, () for whoever there is.

    ``peers``: how many hosts have it, 0 for as many as it knows; ``is_whole``: each of them has to be
    connected.
    """

    reference: str
    range: str
    managers: tuple[str, ...] = ()
    peers: int = 0
    is_whole: bool = False


@dataclass(frozen=True)
class PluginFacts:
    """What stands on this host: frozen, so that one decision sees one state.

    ``older``: the same plugin by another tag. ``started_with``: addresses on the router's command line.
    """

    membership: Membership
    address: str
    plugin: Union[Plugin, None] = None
    older: Union[Plugin, None] = None
    status: Union[RouterStatus, None] = None
    started_with: Union[tuple[str, ...], None] = None


@dataclass(frozen=True)
class Progress:
    """What this run has done, and how long the plugin has been as it is."""

    installs: int = 0
    waited: float = 0.0


def next_plugin_step(facts: PluginFacts, wanted: WantedPlugin, progress: Progress) -> tuple[PluginStep, str]:
    """Choose the next step, with its reason."""
    if facts.membership.state != "active":
        return PluginStep.STOP, (
            f"this host is in no swarm (its state is {facts.membership.state}), and the plugin learns its "
            "peers from the swarm's managers: join first"
        )
    if missing := sorted(set(wanted.managers) - facts.membership.managers):
        return PluginStep.WAIT, f"the managers have not formed: {', '.join(missing)} is not among them"
    if facts.older:
        return PluginStep.STOP, (
            f"plugin {facts.older.name} is installed, and networks name it as their driver: remove it first "
            f"(docker plugin rm {facts.older.name})"
        )
    if facts.plugin is None and progress.installs >= MAX_INSTALLS:
        return PluginStep.STOP, "it cannot be installed"
    if facts.plugin is None:
        return PluginStep.INSTALL, "it is not installed"
    if not facts.plugin.is_enabled:
        return _again(progress, "it is listed and not enabled")
    return _judge_router(facts, wanted, progress)


def _judge_router(facts: PluginFacts, wanted: WantedPlugin, progress: Progress) -> tuple[PluginStep, str]:
    status = facts.status
    if status is None:
        return _patiently(progress, "its status page does not answer")
    others = facts.membership.managers - {facts.address}
    if not status.targets:
        return _again(progress, "its router was started without the managers' addresses (Targets: 0)")
    lost = sorted(others - set(facts.started_with or ()) - status.connected)
    if lost:
        return _patiently(progress, f"its router neither was started with {', '.join(lost)} nor is connected")
    if status.range != wanted.range:
        return PluginStep.STOP, (
            f"its range is {status.range}, not {wanted.range}: remove it, and install it with that range"
        )
    faults = status.find_faults(wanted.peers, wanted.range) if wanted.is_whole else []
    if faults:
        return PluginStep.WAIT, "; ".join(faults)
    return PluginStep.DONE, describe(status)


def describe(status: RouterStatus) -> str:
    """Say in a line how a router stands."""
    return f"{status.peers} peers, {status.established} connections established, range {status.range}"


def _patiently(progress: Progress, why: str) -> tuple[PluginStep, str]:
    """Wait for a router that has just been started; then it is to come anew."""
    return _again(progress, why) if progress.waited > START_S else (PluginStep.WAIT, why)


def _again(progress: Progress, why: str) -> tuple[PluginStep, str]:
    if progress.installs < MAX_INSTALLS:
        return PluginStep.REMOVE, why
    return PluginStep.STOP, f"{why}, and installing it again did not help: {OLD_API}"
