"""See to it that this host has the network plugin, started with the managers' addresses and connected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.engine.networking.calls import NetworkCalls
from bootstrap.engine.networking.plugin import find_plugin, split_reference
from bootstrap.errors import AgentError, RefusedError
from bootstrap.log import say
from bootstrap.network.plugin_steps import (
    PluginFacts,
    PluginStep,
    Progress,
    WantedPlugin,
    describe,
    next_plugin_step,
)
from bootstrap.network.router import Router
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.description import PLUGIN_RANGE

POLL_S = 1.0
TIMEOUT_S = 180.0
RANGE_VARIABLE = "IPALLOC_RANGE"


@dataclass(frozen=True)
class NetworkHost:
    """All that is asked about the network of one host."""

    engine: Engine
    calls: NetworkCalls
    router: Router = field(default_factory=Router)

    @classmethod
    def behind(cls, engine: Engine) -> NetworkHost:
        """Make it for the host of an engine."""
        return cls(engine, NetworkCalls(engine.socket))


def read_facts(host: NetworkHost, wanted: WantedPlugin) -> PluginFacts:
    """Read what stands on this host. Raises EngineError, StatusError."""
    membership = host.engine.membership()
    address = str((host.engine.info().get("Swarm") or {}).get("NodeAddr") or "")
    plugins = host.calls.plugins()
    facts = PluginFacts(membership, address, plugin=find_plugin(wanted.reference, plugins))
    if facts.plugin is None:
        repository = split_reference(wanted.reference)[0]
        return replace(facts, older=next((one for one in plugins if one.repository == repository), None))
    if not facts.plugin.is_enabled:
        return facts
    return replace(facts, status=host.router.status(), started_with=host.router.started_with())


def ensure_plugin(host: NetworkHost, wanted: WantedPlugin, clock: Clock, deadline: float) -> PluginFacts:
    """Install, and install again what did not come up; run again after a crash, it goes on from there.

    Raises AgentError with what is missing, and what was left, where it does not work by the deadline.
    """
    run = _Run(host, wanted, clock, deadline)
    return until_deadline(run.poll, clock, deadline, POLL_S)


@dataclass
class _Run:
    """One run: what it has tried, and since when nothing has changed."""

    host: NetworkHost
    wanted: WantedPlugin
    clock: Clock
    deadline: float
    installs: int = 0
    said: str = ""
    since: float = 0.0
    refusal: str = ""

    def __post_init__(self) -> None:
        self.since = self.clock.now()

    def poll(self) -> PluginFacts | None:
        facts = read_facts(self.host, self.wanted)
        progress = Progress(self.installs, self.clock.now() - self.since)
        step, why = next_plugin_step(facts, self.wanted, progress)
        self._tell(step, why)
        if step is PluginStep.DONE:
            return facts
        is_late = self.clock.now() > self.deadline
        if step is PluginStep.STOP or is_late:
            raise AgentError(
                f"the network plugin {self.wanted.reference} does not work: {why}{self.refusal}; "
                f"{_left(facts)}"
            )
        if step in STEPS:
            self._take(STEPS[step], facts)
        return None

    def _tell(self, step: PluginStep, why: str) -> None:
        if (line := f"{step.value}: {why}") != self.said:
            self.said = line
            say(f"network plugin {self.wanted.reference}: {line}")

    def _take(self, step: Callable[[_Run, PluginFacts], None], facts: PluginFacts) -> None:
        try:
            step(self, facts)
        except RefusedError as refusal:
            say(f"{refusal}; looking again")
            self.refusal = f" ({refusal})"
            if step is _remove:  # it is in use: that does not end by itself
                raise AgentError(
                    f"the network plugin {self.wanted.reference} has to be installed again, and the engine "
                    f"keeps it: {refusal}; it was left as it is: move the tasks off this host, "
                    "then run this again"
                ) from None
        self.since = self.clock.now()


def _install(run: _Run, _: PluginFacts) -> None:
    """Fetch and start it; what was fetched and does not start stays listed, and is removed next."""
    run.installs += 1
    run.host.router.forget_restart()
    settings = {} if run.wanted.range == PLUGIN_RANGE else {RANGE_VARIABLE: run.wanted.range}
    run.host.calls.pull_plugin(run.wanted.reference, settings)
    run.host.calls.enable_plugin(run.wanted.reference)


def _remove(run: _Run, facts: PluginFacts) -> None:
    plugin = facts.plugin
    if plugin is None:
        return
    if plugin.is_enabled:
        run.host.calls.disable_plugin(plugin.name)
    run.host.calls.remove_plugin(plugin.name)
    run.installs = max(run.installs, 1)  # it was installed before this run, if not by it


STEPS = {PluginStep.INSTALL: _install, PluginStep.REMOVE: _remove}


def _left(facts: PluginFacts) -> str:
    if facts.plugin is None:
        return "nothing is installed"
    how = "enabled" if facts.plugin.is_enabled else "not enabled"
    pages = f", {describe(facts.status)}" if facts.status else ""
    return f"it was left installed and {how}{pages}"
