"""The agent tasks ``preflight`` and ``install``: what Run Command starts on an instance before it joins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.errors import AgentError
from bootstrap.host.instance_metadata import Identity, Metadata
from bootstrap.machine.checks import Check, Verdict, can_go_on, judge
from bootstrap.machine.facts import MachineFacts
from bootstrap.machine.install import Changeable, install
from bootstrap.machine.machine import this_machine
from bootstrap.machine.probe import read_machine
from bootstrap.machine.wanted import Wanted
from chalicelib.protocol.description import Description, Driver, PackageSource
from chalicelib.protocol.description_codec import decode_description
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result
from chalicelib.protocol.strict_json import ProtocolError

METADATA = Metadata()


def run_preflight(
    engine: Engine,
    arguments: Arguments,
    clock: Clock,
    metadata: Metadata = METADATA,
    read: Callable[[Engine, PackageSource], MachineFacts] = read_machine,
) -> Result:
    """Judge whether this host can be a node; changes nothing. Raises AgentError."""
    started, identity, described = clock.now(), metadata.identity(), read_description(arguments)
    wanted = wanted_of(described)
    checks = judge(read(engine, wanted.engine.source), wanted, described.host)
    fate = Fate.FIT if can_go_on(checks) else Fate.UNFIT
    report = _report(identity, fate, summary(checks), clock.now() - started)
    facts = {"checks": [asdict(check) for check in checks]}
    return Result(AgentTask.PREFLIGHT, ok=fate is Fate.FIT, nodes=(report,), facts=facts)


def run_install(
    engine: Engine,
    arguments: Arguments,
    clock: Clock,
    metadata: Metadata = METADATA,
    machine: Changeable | None = None,
) -> Result:
    """Bring the described engine onto this host; run again, it goes on. Raises AgentError."""
    started, identity, described = clock.now(), metadata.identity(), read_description(arguments)
    done = install(machine or this_machine(engine, clock), wanted_of(described))
    report = _report(identity, Fate.INSTALLED, str(done), clock.now() - started)
    facts = {"version": done.version, "steps": [step.value for step in done.steps]}
    return Result(AgentTask.INSTALL, ok=True, nodes=(report,), facts=facts)


def read_description(arguments: Arguments) -> Description:
    """Read what the cluster shall be. Raises AgentError."""
    if not arguments.description:
        raise AgentError(
            "the arguments hold no description: publish one, and name it in the cluster's settings"
        )
    try:
        return decode_description(arguments.description)
    except ProtocolError as error:
        raise AgentError(str(error)) from None


def wanted_of(described: Description) -> Wanted:
    """Take from a description what an installation is to reach."""
    return Wanted(described.engine, has_plugin=described.network.driver is Driver.WEAVE)


def summary(checks: tuple[Check, ...]) -> str:
    """Name what is wrong, with what to do, the worst first; or that nothing is."""
    wrong = [
        check for verdict in (Verdict.FAIL, Verdict.WARN) for check in checks if check.verdict is verdict
    ]
    rows = (f"{one.verdict.value} {one.name}: {one.found} ({one.reason}): {one.action}" for one in wrong)
    return "; ".join(rows) or "all is well"


def _report(identity: Identity, fate: Fate, detail: str, seconds: float) -> NodeReport:
    return NodeReport(identity.instance, "", fate, detail, round(seconds, 2))


RUN: dict[AgentTask, Callable[[Engine, Arguments, Clock], Result]] = {
    AgentTask.PREFLIGHT: run_preflight,
    AgentTask.INSTALL: run_install,
}
