"""Judge by each fact whether a machine can be a node, why not, and what to do; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bootstrap.machine.facts import MachineFacts
from bootstrap.machine.sources import names
from bootstrap.machine.versions import is_version, numbers, upstream
from bootstrap.machine.wanted import Wanted
from chalicelib.protocol.description import ANY_VERSION, WantedHost

SWARM_PORTS = (("tcp", 2377), ("tcp", 7946), ("udp", 7946), ("udp", 4789))
PLUGIN_PORTS = (("tcp", 6783), ("udp", 6783), ("udp", 6784))
OLDEST_KERNEL = "3.10"  # that any engine with a swarm runs on
OLDEST_PYTHON = (3, 10)
GIGABYTE = 1024**3
LITTLE_DISK, NO_DISK = 10 * GIGABYTE, 2 * GIGABYTE
LITTLE_MEMORY, NO_MEMORY = 2 * GIGABYTE, GIGABYTE // 2
SLACK = 0.9  # of memory that is sold as so much the kernel takes a part
INSTALL = "agent install"


class Verdict(str, Enum):
    """Whether a host will do in one respect."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One judgement. ``reason`` says why it counts, ``action`` what to do; both "" where all is well."""

    name: str
    verdict: Verdict
    found: str
    reason: str = ""
    action: str = ""


def judge(facts: MachineFacts, wanted: Wanted, host: WantedHost = WantedHost()) -> tuple[Check, ...]:  # noqa: B008 - frozen
    """Judge a machine. With no `fail` an installation can begin."""
    checks = [
        _system(facts, host),
        _kernel(facts, host),
        _storage_driver(facts, wanted),
        _engine(facts, wanted),
        _cgroup(facts),
        _disk(facts),
        _memory(facts),
        _clock(facts),
        *_ports(facts, wanted),
        _python(facts),
        _package_source(facts, wanted),
    ]
    return (*checks, *_for_plugin(facts)) if wanted.has_plugin else tuple(checks)


def can_go_on(checks: tuple[Check, ...]) -> bool:
    """Tell whether nothing keeps the machine from becoming a node."""
    return all(check.verdict is not Verdict.FAIL for check in checks)


def _ok(name: str, found: str) -> Check:
    return Check(name, Verdict.OK, found)


def _system(facts: MachineFacts, host: WantedHost) -> Check:
    system = facts.system
    found = system.name or "unknown"
    if not facts.packages.manager:
        return Check(
            "os",
            Verdict.FAIL,
            found,
            "it has neither apt-get nor dnf",
            "take an image of Ubuntu LTS or Amazon Linux",
        )
    if trouble := facts.packages.trouble:
        return Check(
            "os", Verdict.WARN, found, f"its packages cannot be told: {trouble}", "look on this host"
        )
    if host.systems and not any(system.is_of(one) for one in host.systems):
        return Check(
            "os",
            Verdict.WARN,
            found,
            f"the profile is made for {', '.join(host.systems)}",
            "take one of those images, or try this one out first",
        )
    return _ok("os", found)


def _kernel(facts: MachineFacts, host: WantedHost) -> Check:
    found, version = facts.kernel, numbers(facts.kernel)
    if version < numbers(OLDEST_KERNEL):
        return Check("kernel", Verdict.FAIL, found, "no engine runs on it", "take a newer image")
    if host.kernel_from and version < numbers(host.kernel_from):
        reason = f"the profile is made for {host.kernel_from} and later"
        return Check("kernel", Verdict.WARN, found, reason, "take a newer image")
    if host.kernel_below and version >= numbers(host.kernel_below):
        reason = f"too new for the profile's engine, which was made for kernels before {host.kernel_below}"
        return Check(
            "kernel", Verdict.WARN, found, reason, "take an older image, or a profile with a newer engine"
        )
    return _ok("kernel", found)


def _storage_driver(facts: MachineFacts, wanted: Wanted) -> Check:
    accepted = " or ".join(wanted.storage_drivers)
    if facts.engine:
        found = facts.engine.storage_driver
        if found in wanted.storage_drivers:
            return _ok("storage driver", found)
        kept = f"; a change hides {facts.engine.kept} containers and images" if facts.engine.kept else ""
        verdict = Verdict.FAIL if facts.engine.kept else Verdict.WARN
        action = "replace this host" if facts.engine.kept else INSTALL
        return Check("storage driver", verdict, found, f"{accepted} is wanted{kept}", action)
    if facts.has_overlay:
        return _ok("storage driver", f"none yet; the kernel has what {accepted} needs")
    return Check(
        "storage driver", Verdict.FAIL, "none", "the kernel has no overlay file system", "take another image"
    )


def _engine(facts: MachineFacts, wanted: Wanted) -> Check:
    version, engine = wanted.engine.version, facts.engine
    known = [one for name, one in facts.packages.installed.items() if name in _names(facts, wanted)]
    if engine is None:
        found = f"{known[0]} is installed and does not answer" if known else "none"
        return Check("engine", Verdict.WARN, found, f"{version} is wanted", INSTALL)
    if engine.live_restore:
        reason = "with live-restore an engine joins no swarm"
        action = "take live-restore out of /etc/docker/daemon.json, then restart the engine"
        return Check("engine", Verdict.FAIL, f"{engine.version} with live-restore", reason, action)
    if version == ANY_VERSION or is_version(engine.version, version):
        return _ok("engine", engine.version)
    if numbers(engine.version) > numbers(version):
        reason, action = (
            f"newer than the wanted {version}",
            f"name {upstream(engine.version)} in the description",
        )
        return Check("engine", Verdict.FAIL, engine.version, reason, f"{action}, or replace this host")
    return Check("engine", Verdict.WARN, engine.version, f"{version} is wanted", INSTALL)


def _names(facts: MachineFacts, wanted: Wanted) -> tuple[str, ...]:
    return names(wanted.engine.source, facts.packages.manager) if facts.packages.manager else ()


def _cgroup(facts: MachineFacts) -> Check:
    if facts.cgroup:
        return _ok("cgroup", f"version {facts.cgroup}")
    reason = "without control groups an engine limits and starts nothing"
    return Check("cgroup", Verdict.FAIL, "none", reason, "mount them, or take another image")


def _disk(facts: MachineFacts) -> Check:
    found = f"{facts.disk_free / GIGABYTE:.1f} GB free for /var/lib/docker"
    if facts.disk_free < NO_DISK:
        return Check(
            "disk", Verdict.FAIL, found, "engine and images need more", "give the instance a larger disk"
        )
    if facts.disk_free < LITTLE_DISK:
        return Check("disk", Verdict.WARN, found, "images fill it soon", "give the instance a larger disk")
    return _ok("disk", found)


def _memory(facts: MachineFacts) -> Check:
    found = f"{facts.memory / GIGABYTE:.1f} GB"
    if facts.memory < NO_MEMORY * SLACK:
        return Check(
            "memory", Verdict.FAIL, found, "a manager and its tasks need more", "take a larger instance type"
        )
    if facts.memory < LITTLE_MEMORY * SLACK:
        return Check("memory", Verdict.WARN, found, "little is left for tasks", "take a larger instance type")
    return _ok("memory", found)


def _clock(facts: MachineFacts) -> Check:
    if facts.is_clock_synchronised is None:
        return Check(
            "clock", Verdict.WARN, "not told", "the kernel does not say", "look for chrony or timesyncd"
        )
    if facts.is_clock_synchronised:
        return _ok("clock", "synchronised")
    reason = "certificates of the swarm are refused on hosts whose clock is far off"
    return Check("clock", Verdict.WARN, "not synchronised", reason, "start chrony or systemd-timesyncd")


def _ports(facts: MachineFacts, wanted: Wanted) -> Iterator[Check]:
    """Who is in a swarm uses its ports itself; whether firewalls let them through only a join can tell."""
    is_ours = facts.engine is not None and facts.engine.swarm != "inactive"
    for protocol, port in (*SWARM_PORTS, *(PLUGIN_PORTS if wanted.has_plugin else ())):
        name = f"port {port}/{protocol}"
        if (protocol, port) not in facts.listening:
            yield _ok(name, "free")
        elif is_ours:
            yield _ok(name, "in use; this host is in a swarm")
        else:
            reason = "another program has it, so the swarm cannot"
            yield Check(name, Verdict.FAIL, "in use", reason, f"see who has it: ss -lnp sport = :{port}")


def _python(facts: MachineFacts) -> Check:
    found = ".".join(map(str, facts.python))
    if facts.python >= OLDEST_PYTHON:
        return _ok("python", found)
    return Check(
        "python", Verdict.FAIL, found, "the agent needs 3.10 or later", "install one, such as python3.11"
    )


def _package_source(facts: MachineFacts, wanted: Wanted) -> Check:
    kind = wanted.engine.source.kind.value
    if not facts.source_trouble:
        return _ok("package source", facts.source or f"{kind}: the host's own")
    is_there = facts.engine is not None and is_version(facts.engine.version, wanted.engine.version)
    verdict = Verdict.WARN if is_there else Verdict.FAIL
    reason = f"not reached: {facts.source_trouble}"
    action = "let this host reach it, or name a mirror in the description"
    return Check("package source", verdict, facts.source or kind, reason, action)


def _for_plugin(facts: MachineFacts) -> Iterator[Check]:
    """Judge what the network plugin needs besides (measured)."""
    if facts.has_modules:
        yield _ok("kernel modules", "/lib/modules is there")
    else:
        reason, action = "the network plugin is not enabled without /lib/modules", "mkdir /lib/modules"
        yield Check("kernel modules", Verdict.FAIL, "no /lib/modules", reason, action)
    if facts.has_machine_id:
        yield _ok("machine id", "/etc/machine-id is there")
    else:
        reason = "without it all peers of the network plugin have one name"
        yield Check("machine id", Verdict.FAIL, "none", reason, "systemd-machine-id-setup")
