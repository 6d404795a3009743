"""The root of hosts that are really bare: Debian without any engine, and a source of packages to install one.

Both are made once per machine. The root comes from debootstrap, which is fetched and not installed. The
packages are Debian's own, of two suites, so that an engine can be upgraded; they are signed and served as by
any mirror. To fetch newer ones, delete the directory in the cache.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

from tests.lab.machines import cache, engines, programs
from tests.lab.state import ROOT, Host, Lab, LabError

SUITE = "trixie"
SUITES = ("trixie", "sid")  # of engines: the older and the newer one
INCLUDED = ("python3", "ca-certificates", "iptables", "iproute2", "procps", "tini")
PACKAGES = ("docker.io", "docker-cli")
KEY = "/usr/share/keyrings/lab-engines.asc"  # in the hosts
SIGNER = "lab@example.invalid"
PORT = 8080  # at the lab's own gateway address
BUILD_TIMEOUT_S = 1800


def prepare(cache_directory: Path = ROOT / "cache") -> Path:
    """Make root and packages where they are missing; answers their directory. LabError where that fails."""
    return cache.prepare(cache_directory / f"bare-{SUITE}", _make)


def serve(lab: Lab) -> Lab:
    """Serve the packages at the lab's gateway; answers the lab with the server recorded."""
    place = prepare() / "packages"
    argv = [sys.executable, "-m", "http.server", str(PORT), "--bind", lab.gateway, "--directory", str(place)]
    return programs.start(lab, "packages", argv)


def source(lab: Lab, suite: str) -> dict[str, str]:
    """Describe the source as a cluster's description names it."""
    url = f"http://{lab.gateway}:{PORT}"
    return {"kind": "mirror", "packages": "distribution", "url": url, "key": KEY, "suite": suite}


def version(suite: str) -> str:
    """Tell which version of the engine a suite has, without what its packager added."""
    index = (prepare() / "packages/dists" / suite / "main" / f"binary-{_architecture()}/Packages").read_text()
    rows = (
        dict(line.split(": ", 1) for line in one.splitlines() if ": " in line) for one in index.split("\n\n")
    )
    full = next(row["Version"] for row in rows if row.get("Package") == "docker.io")
    return full.partition("+")[0].partition("-")[0]


def furnish(host: Host, etc: Path) -> None:
    """Fill /etc with what makes a host another machine, and lets Debian's start script work in it."""
    (etc / "machine-id").write_text(f"{uuid5(NAMESPACE_DNS, host.instance).hex}\n")
    (etc / "fstab").write_text("cgroup /sys/fs/cgroup cgroup defaults 0 0\n")  # shown already: mount none
    (etc / "default").mkdir()
    # The script raises its limits, which this machine may not allow; a function of that name never fails.
    (etc / "default/docker").write_text("ulimit() { :; }\n")


def _make(place: Path) -> None:
    place.mkdir()
    try:
        _make_root(place)
        for suite in SUITES:
            _fetch(place, suite)
        _sign(place)
    except LabError as error:
        raise LabError(f"bare hosts cannot be had: {str(error).splitlines()[-1]}") from None


def _make_root(place: Path) -> None:
    work, root = place / "work", place / "root"
    work.mkdir()
    apt = engines.apt_options(work / "apt", SUITE)
    programs.run(["apt-get", "-qq", *apt, "update"], BUILD_TIMEOUT_S)
    programs.run(["apt-get", "-qq", *apt, "download", "debootstrap"], BUILD_TIMEOUT_S, work)
    programs.run(
        ["dpkg", "-x", *map(str, work.glob("debootstrap_*.deb")), str(work / "tool")], BUILD_TIMEOUT_S
    )
    argv = [str(work / "tool/usr/sbin/debootstrap"), "--variant=minbase", f"--include={','.join(INCLUDED)}"]
    place_of_scripts = {"DEBOOTSTRAP_DIR": str(work / "tool/usr/share/debootstrap")}
    _run([*argv, SUITE, str(root), engines.mirror()], place_of_scripts)
    for name in ("usr/lib/modules", str(ROOT).lstrip("/")):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/apt/sources.list").write_text("")  # what comes onto a host, comes from the lab
    programs.run(["rm", "-rf", str(work), *map(str, (root / "var/cache/apt/archives").glob("*.deb"))])


def _fetch(place: Path, suite: str) -> None:
    """Download a suite's engine with all that the root lacks for it, and write the index of that."""
    state, index = place / f"apt-{suite}", place / "packages/dists" / suite
    apt = engines.apt_options(state, suite)
    (state / "status").write_bytes((place / "root/var/lib/dpkg/status").read_bytes())
    programs.run(["apt-get", "-qq", *apt, "update"], BUILD_TIMEOUT_S)
    install = ["install", "--download-only", "-y", "--no-install-recommends", *PACKAGES]
    programs.run(["apt-get", "-qq", *apt, *install], BUILD_TIMEOUT_S)
    pool = place / "packages/pool" / suite
    pool.mkdir(parents=True)
    for package in (state / "cache/archives").glob("*.deb"):
        package.rename(pool / package.name)
    listing = "\n".join(_stanza(package, place / "packages") for package in sorted(pool.iterdir()))
    (index / "main" / f"binary-{_architecture()}").mkdir(parents=True)
    (index / "main" / f"binary-{_architecture()}/Packages").write_text(listing)
    (index / "Release").write_text(release(suite, _architecture(), {_listing_name(): listing.encode()}))
    programs.run(["rm", "-rf", str(state)])


def release(suite: str, architecture: str, files: Mapping[str, bytes]) -> str:
    """Write the index of a suite: which files it has, with their hashes."""
    head = (
        f"Origin: lab\nSuite: {suite}\nCodename: {suite}\nArchitectures: {architecture}\nComponents: main\n"
    )
    rows = [f" {hashlib.sha256(text).hexdigest()} {len(text)} {name}" for name, text in files.items()]
    return f"{head}Date: {_date()}\nSHA256:\n" + "\n".join(rows) + "\n"


def _sign(place: Path) -> None:
    home = place / "keys"
    home.mkdir(mode=0o700)
    gpg = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--quiet",
        "--yes",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
    ]
    programs.run([*gpg, "--quick-generate-key", SIGNER, "rsa3072", "sign", "never"], BUILD_TIMEOUT_S)
    key = programs.run([*gpg, "--armor", "--export", SIGNER])
    (place / "root" / KEY.lstrip("/")).write_text(key)
    for suite in SUITES:
        index = place / "packages/dists" / suite
        programs.run([*gpg, "--clear-sign", "-o", str(index / "InRelease"), str(index / "Release")])
    programs.run(["gpgconf", "--homedir", str(home), "--kill", "all"])
    programs.run(["rm", "-rf", str(home)])


def _stanza(package: Path, top: Path) -> str:
    """Write a package's row of the index."""
    fields = programs.run(["dpkg-deb", "--field", str(package)])
    content = package.read_bytes()
    where = f"Filename: {package.relative_to(top)}\nSize: {len(content)}\n"
    return f"{fields.strip()}\n{where}SHA256: {hashlib.sha256(content).hexdigest()}\n"


def _listing_name() -> str:
    return f"main/binary-{_architecture()}/Packages"


def _architecture() -> str:
    return programs.run(["dpkg", "--print-architecture"]).strip()


def _date() -> str:
    return programs.run(["date", "-u", "-R"]).strip().replace("+0000", "UTC")


def _run(argv: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
        env={**os.environ, **environment},
    )
    if done.returncode:
        raise LabError(f"debootstrap failed: {(done.stderr or done.stdout).strip()[-300:]}")
