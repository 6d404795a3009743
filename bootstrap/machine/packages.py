"""The machine's package manager: apt or dnf; which versions there are, and how they come onto the host."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bootstrap.clock import Clock
from bootstrap.errors import AgentError
from bootstrap.machine.facts import PackageFacts, System
from bootstrap.machine.programs import Run, Said
from bootstrap.machine.sources import ENGINES, RUNTIMES, source_file
from chalicelib.protocol.description import PackageSource

LOCK_TIMEOUT_S = (
    600.0  # for whoever installs something else meanwhile, such as the first upgrade after a boot
)
LOCK_POLL_S = 5.0
INSTALL_TIMEOUT_S = 900.0
FETCH_TIMEOUT_S = 10.0
LOCKED = ("Could not get lock", "Unable to acquire the dpkg frontend lock", "Waiting for process with pid")
KEEP_SETTINGS = ("-o", "Dpkg::Options::=--force-confold")
# dpkg's own letters for the state of a package. Half-way: half-installed, unpacked, half-configured, waiting.
INSTALLED, HALF_WAY = "i", ("H", "U", "F", "W", "t")
ARMOURED = b"-----BEGIN PGP"
KNOWN = tuple(dict.fromkeys((*ENGINES, *RUNTIMES)))


class PackageManager(Protocol):
    """What an installation needs of a package manager. Every method raises AgentError."""

    @property
    def name(self) -> str:
        """Name it: apt or dnf."""

    def read(self) -> PackageFacts:
        """Tell which of the engine's packages are here, and which could be."""

    def is_source_set(self, source: PackageSource, system: System) -> bool:
        """Tell whether the source stands as it shall."""

    def set_source(self, source: PackageSource, system: System) -> None:
        """Write the source, and fetch the key that it is signed with."""

    def update_lists(self) -> None:
        """Fetch the lists of what there is anew; what cannot be fetched is told by what is missing then."""

    def install(self, packages: Mapping[str, str]) -> None:
        """Install exactly these versions."""

    def hold(self, packages: frozenset[str]) -> None:
        """Keep others from upgrading them."""

    def repair(self) -> None:
        """Finish what was interrupted."""


class _Base:
    """What both share: the source's files, and patience with whoever holds the lock."""

    name = ""
    list_place = key_place = ""

    def __init__(self, run: Run, clock: Clock, root: Path = Path("/")) -> None:
        self._run, self._clock, self._root = run, clock, root

    def is_source_set(self, source: PackageSource, system: System) -> bool:
        wanted = source_file(source, system, self.name, self._key_place(source))
        place = self._place(self.list_place)
        there = place.read_text() if place.exists() else ""
        return there == wanted.text and (not wanted.key or self._place(self._key_place(source)).exists())

    def set_source(self, source: PackageSource, system: System) -> None:
        wanted = source_file(source, system, self.name, self._key_place(source))
        place = self._place(self.list_place)
        try:
            if "://" in wanted.key:
                self._put(self._place(self.key_place), _fetch(wanted.key))
            if wanted.text:
                self._put(place, wanted.text.encode())
            else:
                place.unlink(missing_ok=True)
        except OSError as error:
            raise AgentError(f"the package source was left as it was: {error}") from None

    def _key_place(self, source: PackageSource) -> str:
        """Tell where the key is: a path on the host stands where it is."""
        return source.key if source.key.startswith("/") else self.key_place

    def _place(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _put(self, place: Path, content: bytes) -> None:
        """Write all or nothing; the key comes before the list that names it."""
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.name}.part")
        part.write_bytes(content)
        part.chmod(0o644)
        part.replace(place)

    def _call(self, *argv: str, timeout: float = INSTALL_TIMEOUT_S) -> Said:
        """Run it, and again while somebody else holds the lock."""
        until = self._clock.now() + LOCK_TIMEOUT_S
        while True:
            said = self._run(argv, timeout)
            is_locked = said.status and any(words in said.err + said.out for words in LOCKED)
            if not is_locked or self._clock.now() > until:
                return said
            self._clock.sleep(LOCK_POLL_S)

    def _order(self, what: str, *argv: str) -> None:
        said = self._call(*argv)
        if said.status:
            raise AgentError(f"{what} failed: {said.last_words}")


class Apt(_Base):
    """Debian, Ubuntu and what descends from them."""

    name = "apt"
    list_place = "/etc/apt/sources.list.d/swarmkeeper-engine.sources"
    key_place = "/etc/apt/keyrings/swarmkeeper-engine.asc"  # a name that says to apt that it is armoured

    def read(self) -> PackageFacts:
        rows = self._run(("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n")).out
        found = [row.split() for row in rows.splitlines() if row.strip()]
        there = {row[0]: row[1] for row in found if row[0] in KNOWN and row[-1][1:2] == INSTALLED}
        updates = self._place("/var/lib/dpkg/updates")
        journal = [path for path in updates.glob("*") if path.name.isdigit()]
        is_broken = bool(journal) or any(row[-1][1:2] in HALF_WAY or row[-1][2:] for row in found)
        held = frozenset(self._run(("apt-mark", "showhold")).out.split())
        return PackageFacts(self.name, there, held, self._listed(), is_broken)

    def update_lists(self) -> None:
        self._call("apt-get", "-q", "update")

    def install(self, packages: Mapping[str, str]) -> None:
        # Whether an older version may come was decided before. Settings that people have changed stay.
        options = (
            *("-y", "-q", "--no-install-recommends", "--no-remove"),
            *("--allow-change-held-packages", "--allow-downgrades", *KEEP_SETTINGS),
        )
        words = [f"{name}={version}" for name, version in sorted(packages.items())]
        self._order("apt-get install", "apt-get", "install", *options, *words)

    def hold(self, packages: frozenset[str]) -> None:
        self._order("apt-mark hold", "apt-mark", "hold", *sorted(packages))

    def repair(self) -> None:
        self._call(
            "dpkg", "--configure", "-a", "--force-confold"
        )  # what it lacks comes with the next command
        options = ("-y", "-q", "--fix-broken", "--no-remove", *KEEP_SETTINGS)
        self._order("apt-get --fix-broken install", "apt-get", "install", *options)

    def _listed(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for line in self._run(("apt-cache", "madison", *KNOWN)).out.splitlines():
            name, _, rest = (part.strip() for part in line.partition("|"))
            version, _, where = (part.strip() for part in rest.partition("|"))
            if where.endswith("Packages") and version not in found.setdefault(name, []):
                found[name].append(version)
        return {name: tuple(versions) for name, versions in found.items()}


class Dnf(_Base):
    """Amazon Linux, Fedora, RHEL and what descends from them."""

    name = "dnf"
    list_place = "/etc/yum.repos.d/swarmkeeper-engine.repo"
    key_place = "/etc/pki/rpm-gpg/RPM-GPG-KEY-swarmkeeper-engine"
    hold_place = "/etc/dnf/dnf.conf"

    def read(self) -> PackageFacts:
        rows = self._run(("rpm", "-q", "--qf", "%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n", *KNOWN)).out
        found = [row.split() for row in rows.splitlines()]
        there = {row[0]: _without_zero(row[1]) for row in found if len(row) == 2}  # noqa: PLR2004 - not "is not installed"
        return PackageFacts(self.name, there, frozenset(self._held()), self._listed())

    def update_lists(self) -> None:
        self._call("dnf", "-q", "-y", "makecache", "--refresh")

    def install(self, packages: Mapping[str, str]) -> None:
        words = [f"{name}-{version}" for name, version in sorted(packages.items())]
        options = ("-y", "-q", "--disableexcludes=main", "--setopt=install_weak_deps=False")
        self._order("dnf install", "dnf", "install", *options, *words)

    def hold(self, packages: frozenset[str]) -> None:
        """Exclude them in dnf's own settings: the plugin that locks versions is not on every host."""
        place = self._place(self.hold_place)
        rows = place.read_text().splitlines() if place.exists() else ["[main]"]
        kept = [row for row in rows if not row.startswith("excludepkgs=")]
        at = kept.index("[main]") + 1 if "[main]" in kept else 0
        names = " ".join(sorted({*self._held(), *packages}))
        self._put(place, "\n".join([*kept[:at], f"excludepkgs={names}", *kept[at:], ""]).encode())

    def repair(self) -> None:
        """Nothing: rpm's transactions are never left half-way in a state that stops the next one."""

    def _held(self) -> list[str]:
        place = self._place(self.hold_place)
        text = place.read_text() if place.exists() else ""
        return [name for row in re.findall(r"^excludepkgs=(.*)$", text, re.MULTILINE) for name in row.split()]

    def _listed(self) -> dict[str, tuple[str, ...]]:
        form = "%{name} %{epoch}:%{version}-%{release}\n"
        rows = self._run(("dnf", "-q", "repoquery", "--disableexcludes=all", "--qf", form, *KNOWN)).out
        found: dict[str, list[str]] = {}
        for row in rows.splitlines():
            name, _, version = row.partition(" ")
            if version and _without_zero(version) not in found.setdefault(name, []):
                found[name].append(_without_zero(version))
        # It lists the oldest first.
        return {name: tuple(reversed(versions)) for name, versions in found.items()}


def find_manager(run: Run, clock: Clock, root: Path = Path("/")) -> PackageManager | None:
    """Find the package manager of this machine; None where it has another one."""
    for kind, program in ((Apt, "usr/bin/apt-get"), (Dnf, "usr/bin/dnf")):
        if (root / program).exists():
            return kind(run, clock, root)
    return None


def _without_zero(version: str) -> str:
    return version.removeprefix("0:")


def _fetch(key: str) -> bytes:
    """Fetch the key that a source is signed with, from its address. Raises AgentError."""
    try:
        with urllib.request.urlopen(key, timeout=FETCH_TIMEOUT_S) as answer:  # noqa: S310 - a description's own
            content: bytes = answer.read()
    except (OSError, ValueError) as error:
        raise AgentError(f"the key {key} cannot be fetched ({error}): let this host reach it") from None
    if not content.startswith(ARMOURED):
        raise AgentError(f"{key} is no armoured key (it does not begin with {ARMOURED.decode()})")
    return content
