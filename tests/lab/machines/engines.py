"""The engines that hosts can run: the machine's own, or one unpacked from packages of another Debian suite.

The packages are fetched with an apt state of their own, so nothing of the machine is touched, and unpacked
once per machine. Each host gets hard links to them in its overlay's upper layer, in front of the machine's.
To fetch a suite's newest packages again, delete its directory in the cache.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machines import cache, programs
from tests.lab.state import ROOT, LabError

DEFAULT = "newest"
OWN = "machine"
VARIABLE = "LAB_ENGINE"
PACKAGES = ("docker.io", "containerd", "runc")
CLIENT = "docker-cli"  # a package of its own since Debian 13
# Taken along where they are newer than the machine's: runc 1.3 needs a newer C library than Debian 12 has.
LIBRARIES = ("libc6", "libgcc-s1", "libseccomp2")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MERGED = ("bin", "sbin", "lib", "lib64")  # each is a link into /usr; a directory would hide all behind it
FETCH_TIMEOUT_S = 600


@dataclass(frozen=True)
class Engine:
    """One choice: the Debian suite that has it, and what its version must begin with, "" for any."""

    suite: str
    version: str = ""


ENGINES = {
    "debian12": Engine("bookworm"),
    "debian13": Engine("trixie"),
    "28": Engine("sid", "28."),
    "newest": Engine("sid"),
}
NAMES = (OWN, *ENGINES)


def choose(name: str = "") -> str:
    """Choose the engine by name, else by environment, else the newest; LabError where unknown."""
    name = name or os.environ.get(VARIABLE, "") or DEFAULT
    if name not in NAMES:
        raise LabError(f"no engine {name!r} is known; there are: {', '.join(NAMES)}")
    return name


def prepare(name: str, cache_directory: Path = ROOT / "cache") -> Path | None:
    """Fetch an engine's files where they are missing; answers their directory, None for the machine's own.

    LabError where it cannot be had.
    """
    if name == OWN or ENGINES[name].suite == _own_suite():
        return None
    engine = ENGINES[name]
    place = cache.prepare(cache_directory / f"engine-{engine.suite}", lambda new: _fetch(engine.suite, new))
    version = (place / "version").read_text()
    if not version.startswith(engine.version):
        raise LabError(
            f"Debian {engine.suite} has engine {version}, not {name}; choose another: {VARIABLE}=newest"
        )
    return place / "files"


def furnish(files: Path | None, upper: Path) -> None:
    """Put the engine's files into a host's upper layer; nothing where it is the machine's own."""
    if files is None:
        return
    for part in sorted(files.iterdir()):
        # Programs are linked, which costs no time and no space; a host may edit its own /etc.
        programs.run(["cp", "-al" if part.name == "usr" else "-a", str(part), str(upper)])


def client(files: Path | None) -> str:
    """Find the docker command line that came with the engine: another may refuse its API version."""
    own = (files or Path("/")) / "usr/bin/docker"
    return str(own) if own.exists() else "docker"


def _fetch(suite: str, place: Path) -> None:
    """Download a suite's packages and unpack them."""
    downloads = place / "packages"
    downloads.mkdir(parents=True)
    try:
        apt = apt_options(place / "apt", suite)
        programs.run(["apt-get", "-qq", *apt, "update"], FETCH_TIMEOUT_S)
        listed = programs.run(["apt-cache", *apt, "show", "--no-all-versions", *PACKAGES, CLIENT, *LIBRARIES])
        versions = dict(re.findall(r"^Package: (\S+)$.*?^Version: (\S+)$", listed, re.MULTILINE | re.DOTALL))
        wanted = [name for name in versions if name not in LIBRARIES or _is_newer(name, versions[name])]
        programs.run(["apt-get", "-qq", *apt, "download", *wanted], FETCH_TIMEOUT_S, downloads)
        _unpack(sorted(downloads.glob("*.deb")), place / "files")
        (place / "version").write_text(versions["docker.io"])
    except (LabError, KeyError) as error:
        raise LabError(
            f"the engine of Debian {suite} cannot be had ({str(error).splitlines()[-1]}); "
            f"to use the machine's own: --engine {OWN} or {VARIABLE}={OWN}"
        ) from None
    programs.run(["rm", "-rf", str(downloads), str(place / "apt")])


def apt_options(state: Path, suite: str) -> list[str]:
    """Options that give apt a state of its own with that suite alone; the machine's proxy settings stay."""
    for part in ("sources", "lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True)
    (state / "status").touch()
    (state / "sources/suite.sources").write_text(_source(suite))
    options = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": state / "sources",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Acquire::Languages": "none",
        "Acquire::Retries": "5",
        "APT::Sandbox::User": "root",
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def _source(suite: str) -> str:
    if not KEYRING.exists():
        raise LabError(f"{KEYRING} is missing: apt-get install debian-archive-keyring")
    fields = {"Types": "deb", "URIs": mirror(), "Suites": suite, "Components": "main", "Signed-By": KEYRING}
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def mirror() -> str:
    """Where the machine takes its Debian packages from; Debian's own address where it takes none."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    listed = programs.run(argv, FETCH_TIMEOUT_S)
    own = (line for line in listed.splitlines() if line.rstrip("/").endswith("/debian"))
    return next(own, "http://deb.debian.org/debian")


def _is_newer(library: str, version: str) -> bool:
    """Whether that version is newer than the machine's."""
    own = programs.run(["dpkg-query", "-W", "-f", "${Version}\n", library]).splitlines()[0]
    compare = ["dpkg", "--compare-versions", version, "gt", own]
    return not subprocess.run(compare, check=False).returncode


def _unpack(packages: Sequence[Path], files: Path) -> None:
    """Unpack packages as onto a machine whose /bin, /sbin and /lib are links into /usr."""
    for name in MERGED:
        (files / "usr" / name).mkdir(parents=True)
        (files / name).symlink_to(f"usr/{name}")
    for package in packages:
        tar = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"'
        programs.run(["sh", "-c", tar, "sh", str(package), str(files)], FETCH_TIMEOUT_S)
    for name in MERGED:
        (files / name).unlink()
        if not any((files / "usr" / name).iterdir()):
            (files / "usr" / name).rmdir()


def _own_suite() -> str:
    """Find the Debian suite of this machine; "" where it is of none."""
    rows = Path("/etc/os-release").read_text().splitlines()
    found = {key: value.strip('"') for key, _, value in (row.partition("=") for row in rows)}
    return found.get("VERSION_CODENAME", "") if found.get("ID") == "debian" else ""
