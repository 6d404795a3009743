"""What a machine is at one moment; read by probe.py, judged by checks.py and install_steps.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class System:
    """The operating system, after /etc/os-release. ``like``: the systems that it descends from."""

    id: str = ""
    version: str = ""
    codename: str = ""
    name: str = ""
    like: tuple[str, ...] = ()
    architecture: str = ""

    @property
    def key(self) -> str:
        """ID and VERSION_ID, such as ``ubuntu-24.04``, as a description names systems."""
        return f"{self.id}-{self.version}" if self.version else self.id

    def is_of(self, key: str) -> bool:
        """Tell whether it is that system: ``rhel-7`` is RHEL 7.4 too."""
        return self.key == key or self.key.startswith(f"{key}.")


@dataclass(frozen=True)
class RunningEngine:
    """An engine that answers. ``swarm``: inactive, pending, active, error or locked."""

    version: str
    storage_driver: str = ""
    swarm: str = "inactive"
    containers: int = 0  # that run
    kept: int = 0  # containers and images that it knows
    live_restore: bool = False


@dataclass(frozen=True)
class PackageFacts:
    """The engine's packages, by name.

    ``manager``: apt, dnf or "" where there is neither. ``listed``: the versions that the sources offer,
    newest first. ``is_broken``: an installation was interrupted, and has to be finished first.
    """

    manager: str = ""
    installed: Mapping[str, str] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_broken: bool = False
    trouble: str = ""  # why they cannot be told


@dataclass(frozen=True)
class MachineFacts:
    """All that a preflight judges. None: it cannot be told here.

    ``listening``: (protocol, port) pairs. ``disk_free`` and ``memory`` in bytes. ``cgroup``: 1, 2, or 0 for
    none. ``source_trouble``: why the package source is not reached, "" where it is.
    """

    system: System
    kernel: str
    has_overlay: bool
    cgroup: int
    disk_free: int
    memory: int
    is_clock_synchronised: bool | None
    listening: frozenset[tuple[str, int]]
    python: tuple[int, int]
    packages: PackageFacts
    engine: RunningEngine | None
    source: str
    source_trouble: str
    is_root: bool = True
    has_machine_id: bool = True
    has_modules: bool = True


@dataclass(frozen=True)
class InstallFacts:
    """All that the next step of an installation hangs on.

    ``is_source_set``: key and source list of the description stand where they shall. ``settings``: the
    engine's, as its file has them. ``is_restart_due``: its settings or packages were changed, and whoever did
    that has not restarted it yet. ``starter``: systemctl, service or "" for neither.
    """

    system: System
    packages: PackageFacts
    settings: Mapping[str, object] = field(default_factory=dict)
    is_source_set: bool = False
    is_restart_due: bool = False
    engine: RunningEngine | None = None
    starter: str = "systemctl"
    is_root: bool = True
