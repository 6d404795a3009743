"""The next step from a machine with any engine or none to one that runs the wanted engine; pure.

It looks at what is there and asks for what is missing, so that an installation can be run again at any
point. `predict` tells what a step leads to, which makes a dry run of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from enum import Enum

from bootstrap.host.settings_merge import list_changes, merge
from bootstrap.machine.facts import InstallFacts, RunningEngine
from bootstrap.machine.sources import ENGINES, names
from bootstrap.machine.versions import numbers, upstream
from bootstrap.machine.wanted import Wanted, to_hold
from chalicelib.protocol.description import ANY_VERSION

SETTINGS_FILE = "/etc/docker/daemon.json"
AGAIN = "run install again"


class InstallStep(str, Enum):
    """What is done next."""

    DONE = "done"
    STOP = "stop"  # it cannot go on; the reason says why, and what to do
    REPAIR = "repair"  # finish what the package manager was killed in
    SET_SOURCE = "set-source"  # key and list of the package source
    UPDATE_LISTS = "update-lists"
    WRITE_SETTINGS = "write-settings"  # before the engine comes, so that its first start has them
    INSTALL_PACKAGES = "install-packages"
    HOLD_PACKAGES = "hold-packages"  # so that an unattended upgrade restarts no engine
    RESTART_ENGINE = "restart-engine"
    START_ENGINE = "start-engine"


STOP_CONTAINERS = frozenset(
    {InstallStep.WRITE_SETTINGS, InstallStep.INSTALL_PACKAGES, InstallStep.RESTART_ENGINE}
)
Step = tuple[InstallStep, str]  # with the reason


def next_install_step(facts: InstallFacts, wanted: Wanted, done: Collection[InstallStep] = ()) -> Step:
    """Choose the next step. ``done``: those of this run; one that is due again has had no effect."""
    if why := _obstacle(facts, wanted):
        return InstallStep.STOP, why
    step, why = _next(facts, wanted, done)
    if step in done and step not in (InstallStep.DONE, InstallStep.STOP):
        return (
            InstallStep.STOP,
            f"{step.value} was done and had no effect: {why}; {AGAIN}, then look on this host",
        )
    if why_not := _is_unsafe(step, facts, wanted):
        return InstallStep.STOP, why_not
    return step, why


def predict(step: InstallStep, facts: InstallFacts, wanted: Wanted) -> InstallFacts:
    """Tell what the machine is after a step that works."""
    packages = facts.packages
    chosen = wanted.choose_packages(packages)
    match step:
        case InstallStep.REPAIR:
            return replace(facts, packages=replace(packages, is_broken=False))
        case InstallStep.SET_SOURCE:
            return replace(facts, is_source_set=True)
        case InstallStep.UPDATE_LISTS:
            guess = "newest" if wanted.engine.version == ANY_VERSION else wanted.engine.version
            first = names(wanted.engine.source, packages.manager)[0]
            return replace(facts, packages=replace(packages, listed={**packages.listed, first: (guess,)}))
        case InstallStep.WRITE_SETTINGS:
            merged = merge(facts.settings, wanted.settings_for(facts.packages))
            return replace(facts, settings=merged, is_restart_due=facts.engine is not None)
        case InstallStep.INSTALL_PACKAGES:
            installed = {**packages.installed, **chosen}
            return replace(facts, packages=replace(packages, installed=installed))
        case InstallStep.HOLD_PACKAGES:
            return replace(facts, packages=replace(packages, held=packages.held | to_hold(packages, chosen)))
        case InstallStep.START_ENGINE | InstallStep.RESTART_ENGINE:
            running = RunningEngine(wanted.version_for(facts.packages), wanted.storage_drivers[0])
            return replace(facts, engine=running, is_restart_due=False)
        case InstallStep.DONE | InstallStep.STOP:
            return facts


def plan(facts: InstallFacts, wanted: Wanted) -> Iterator[Step]:
    """List the steps to come as far as they can be foreseen; the last one is DONE or STOP."""
    done: list[InstallStep] = []
    while True:
        step, why = next_install_step(facts, wanted, done)
        yield step, why
        if step in (InstallStep.DONE, InstallStep.STOP):
            return
        done.append(step)
        facts = predict(step, facts, wanted)


def _obstacle(facts: InstallFacts, wanted: Wanted) -> str:
    """Say what no step can get over; "" where there is nothing of the kind."""
    packages, first = facts.packages, names(wanted.engine.source, facts.packages.manager)[0]
    if not facts.is_root:
        return "installing takes root: run it with sudo; nothing was changed"
    others = sorted(
        set(packages.installed) & set(ENGINES) - set(names(wanted.engine.source, packages.manager))
    )
    if others and first not in packages.installed:
        return (
            f"this host has an engine of another source ({', '.join(others)}), which {first} would replace: "
            "remove it first, or choose its source; nothing was changed"
        )
    if live := _live_restore(facts, wanted):
        return live
    there = packages.installed.get(first, "")
    if there and not wanted.may_downgrade and _is_older(wanted.engine.version, there):
        return (
            f"{first} {there} is newer than the wanted {wanted.engine.version}: an older engine may not read "
            "what a newer one has written; give --downgrade if it shall be; nothing was changed"
        )
    return ""


def _live_restore(facts: InstallFacts, wanted: Wanted) -> str:
    """Refuse it whoever has asked for it: with it an engine starts no swarm and joins none (measured)."""
    if wanted.engine.live_restore or wanted.engine.settings.get("live-restore"):
        return "live-restore cannot be had: an engine with it joins no swarm; take it out of the description"
    if facts.settings.get("live-restore"):
        return (
            f"{SETTINGS_FILE} says live-restore: true, with which an engine joins no swarm: "
            "take that line out, then run install again; nothing was changed"
        )
    return ""


def _next(facts: InstallFacts, wanted: Wanted, done: Collection[InstallStep]) -> Step:
    packages = facts.packages
    if packages.is_broken:
        return InstallStep.REPAIR, "an installation on this host was interrupted"
    if not facts.is_source_set:
        return InstallStep.SET_SOURCE, f"the packages come from {_source_of(wanted)}"
    chosen = wanted.choose_packages(packages)
    if not chosen:
        return _look_for_version(facts, wanted, done)
    if changes := list_changes(facts.settings, wanted.settings_for(facts.packages)):
        return InstallStep.WRITE_SETTINGS, "; ".join(changes)
    if missing := {name: one for name, one in chosen.items() if packages.installed.get(name) != one}:
        return InstallStep.INSTALL_PACKAGES, ", ".join(
            f"{name} {one}" + (f" (was {packages.installed[name]})" if name in packages.installed else "")
            for name, one in missing.items()
        )
    if loose := sorted(to_hold(packages, chosen) - packages.held):
        return InstallStep.HOLD_PACKAGES, f"no upgrade but ours may restart the engine: {', '.join(loose)}"
    return _run_engine(facts, wanted)


def _look_for_version(facts: InstallFacts, wanted: Wanted, done: Collection[InstallStep]) -> Step:
    first = names(wanted.engine.source, facts.packages.manager)[0]
    if InstallStep.UPDATE_LISTS not in done:
        return InstallStep.UPDATE_LISTS, f"{first} {wanted.engine.version} is not listed on this host"
    has = ", ".join(facts.packages.listed.get(first, ())[:5]) or "none at all"
    missing = f"{first} {wanted.engine.version} for {facts.system.name or 'this system'}"
    return InstallStep.STOP, (
        f"{_source_of(wanted)} has no {missing}; it has {has}: "
        "choose one of those, or another source; no package was changed"
    )


def _run_engine(facts: InstallFacts, wanted: Wanted) -> Step:
    engine, version = facts.engine, wanted.version_for(facts.packages)
    if not facts.starter:
        return InstallStep.STOP, f"this host has neither systemctl nor service: start dockerd, then {AGAIN}"
    if engine is None:
        return InstallStep.START_ENGINE, "no engine answers"
    if facts.is_restart_due:
        return InstallStep.RESTART_ENGINE, "its settings or packages were changed"
    if upstream(engine.version) != upstream(version):
        return InstallStep.RESTART_ENGINE, f"{engine.version} runs, {version} is installed"
    if engine.storage_driver not in wanted.storage_drivers:
        accepted = " or ".join(wanted.storage_drivers)
        why = f"the engine uses the storage driver {engine.storage_driver}, not {accepted}"
        return InstallStep.STOP, f"{why}: see its log on this host for the reason"
    return InstallStep.DONE, f"engine {engine.version} runs with {engine.storage_driver}"


def _is_unsafe(step: InstallStep, facts: InstallFacts, wanted: Wanted) -> str:
    """Say why a step would harm what runs here; "" where it would not."""
    engine = facts.engine
    if engine is None:
        return ""
    loses = step is InstallStep.WRITE_SETTINGS and engine.storage_driver not in wanted.storage_drivers
    if loses and engine.kept:
        return (
            f"with another storage driver than {engine.storage_driver} the engine no longer sees its "
            f"{engine.kept} containers and images: replace this host; nothing was changed"
        )
    serves = engine.swarm == "active" and engine.containers > 0
    if step in STOP_CONTAINERS and serves and not wanted.may_restart:
        return (
            f"{step.value} would stop {engine.containers} containers of a node of a swarm: evacuate it "
            "first, or give --restart; its packages and settings were left as they are"
        )
    return ""


def _source_of(wanted: Wanted) -> str:
    source = wanted.engine.source
    return source.url or f"the source {source.kind.value}"


def _is_older(wanted: str, there: str) -> bool:
    return wanted != ANY_VERSION and numbers(wanted) < numbers(there)
