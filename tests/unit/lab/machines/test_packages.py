"""`make system` installs the packages by the names that this Debian or Ubuntu has for them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "lab/machines/packages.sh"
# Stand-ins for the real programs: apt knows docker-cli where the file "knows" exists (which apt-get update
# makes where there is "new"), dpkg has all but what is in "missing", and apt-get notes what it is asked for.
PROGRAMS = {
    "apt-cache": "if [ -e $PLACE/knows ]; then echo Package: $2; fi",
    "apt-get": """echo "$@" >> $PLACE/calls
        case "$*" in *update) [ ! -e $PLACE/new ] || touch $PLACE/knows;; esac""",
    "dpkg-query": "shift 3; for one; do ! grep -qx $one $PLACE/missing || exit 1; echo installed; done",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a machine with everything installed, Debian 12's way."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "missing").touch()
    for name, body in {**PROGRAMS, "docker": ""}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("grep", "touch"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def calls(place: Path) -> list[str]:
    """Run the script; what apt-get was asked for, without its options."""
    environment = {"PATH": str(place / "bin"), "PLACE": str(place)}
    subprocess.run(["/bin/sh", SCRIPT], env=environment, check=True)
    lines = (place / "calls").read_text().splitlines() if (place / "calls").exists() else []
    return [" ".join(line.split()[5:]) for line in lines]


def test_everything_installed_leaves_apt_alone(place: Path) -> None:
    assert calls(place) == []


def test_debian_12_or_ubuntu_24_04_needs_no_package_for_the_client(place: Path) -> None:
    (place / "missing").write_text("docker.io\n")
    update, install = calls(place)
    assert update == "update"
    assert install.startswith("install -y --no-install-recommends docker.io iptables ")
    assert "docker-cli" not in install


def test_debian_13_without_the_client_gets_its_package(place: Path) -> None:
    (place / "knows").touch()
    (place / "missing").write_text("docker-cli\n")
    assert calls(place)[1].endswith(" curl docker-cli")


def test_debian_13_without_package_lists_is_asked_again_after_the_update(place: Path) -> None:
    (place / "new").touch()
    (place / "bin/docker").unlink()
    assert calls(place)[1].endswith(" curl docker-cli")
