"""Where the engine's packages come from, as an apt or dnf source: what a description says, made whole."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.errors import AgentError
from bootstrap.machine.facts import System
from chalicelib.protocol.description import Packages, PackageSource, SourceKind

DOCKER = "https://download.docker.com/linux"
# Systems that Docker packs for; what descends from them takes theirs. What it packs for none of is refused.
DOCKER_SYSTEMS = ("ubuntu", "debian", "raspbian", "fedora", "rhel", "centos")
NO_DOCKER = ("amzn",)  # numbers its releases by itself, whatever it says to be like
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as apt names them
# The engine itself, then what is pinned to the same version where the source has it.
NAMES: dict[tuple[Packages, str], tuple[str, ...]] = {
    (Packages.DOCKER, "apt"): ("docker-ce", "docker-ce-cli"),
    (Packages.DOCKER, "dnf"): ("docker-ce", "docker-ce-cli"),
    (Packages.DISTRIBUTION, "apt"): ("docker.io", "docker-cli"),
    (Packages.DISTRIBUTION, "dnf"): ("docker",),  # of Amazon Linux
}
# Held too, so that nothing restarts the engine's containers: a newer one comes with a newer engine.
RUNTIMES = ("containerd.io", "containerd", "runc")
ENGINES = tuple(
    sorted({name for names in NAMES.values() for name in names} | {"moby-engine", "podman-docker"})
)


@dataclass(frozen=True)
class SourceFile:
    """One source of a package manager. ``text`` and ``key``: "" where the host's own sources serve."""

    text: str = ""
    key: str = ""  # its address or path
    url: str = ""  # of what tells whether it is reached


def names(source: PackageSource, manager: str) -> tuple[str, ...]:
    """Name the packages, the engine first. Raises AgentError where there is no package manager."""
    if not manager:
        raise AgentError(
            "this host has neither apt-get nor dnf: install an engine by hand, then go on with join"
        )
    return NAMES[source.packages, manager]


def source_file(source: PackageSource, system: System, manager: str, key_place: str) -> SourceFile:
    """Write the source for this system. Raises AgentError where there is none for it."""
    if source.kind is SourceKind.DISTRIBUTION or not manager:
        return SourceFile()
    is_docker = source.kind is SourceKind.DOCKER
    if not is_docker and not source.url:
        raise AgentError("a mirror has no address: give the source's url")
    url = _docker_url(system) if is_docker else source.url.rstrip("/")
    key = f"{url}/gpg" if is_docker else source.key
    if manager == "dnf":
        url = f"{url}/{system.version.partition('.')[0]}/$basearch/stable" if is_docker else url
        probe = f"{url.replace('$basearch', system.architecture)}/repodata/repomd.xml"
        return SourceFile(_dnf(url, key_place if key else ""), key, probe)
    suite = source.suite or system.codename
    if not suite:
        raise AgentError(f"{system.name or 'this system'} has no code name: give the source's suite")
    is_flat = suite.endswith("/")
    component = "" if is_flat else source.component or _component(source)
    probe = f"{url}/{suite}Packages" if is_flat else f"{url}/dists/{suite}/InRelease"
    return SourceFile(_apt(url, suite, component, system, key_place if key else ""), key, probe)


def _component(source: PackageSource) -> str:
    return "stable" if source.packages is Packages.DOCKER else "main"


def _docker_url(system: System) -> str:
    for name in () if system.id in NO_DOCKER else (system.id, *system.like):
        if name in DOCKER_SYSTEMS:
            return f"{DOCKER}/{name}"
    raise AgentError(
        f"Docker has no packages for {system.name or 'this system'}: "
        "choose the source distribution, or a mirror that has some"
    )


def _apt(url: str, suite: str, component: str, system: System, key: str) -> str:
    fields = {
        "Types": "deb",
        "URIs": url,
        "Suites": suite,
        "Components": component,
        "Architectures": ARCHITECTURES.get(system.architecture, ""),
        "Signed-By": key,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def _dnf(url: str, key: str) -> str:
    trust = f"gpgcheck=1\ngpgkey=file://{key}\n" if key else ""
    return f"[swarmkeeper-engine]\nname=The engine of Swarmkeeper's hosts\nbaseurl={url}\nenabled=1\n{trust}"
