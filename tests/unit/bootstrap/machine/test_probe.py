"""What a machine says of itself is read from its files, and what is missing is no error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bootstrap.engine.client import Engine, EngineError
from bootstrap.machine.facts import RunningEngine
from bootstrap.machine.probe import read_engine, read_machine, read_system
from bootstrap.machine.programs import QUICK_S, Said
from chalicelib.protocol.description import Packages, PackageSource, SourceKind

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue
   0: 00000000:0949 00000000:0000 0A 00000000:00000000
   1: 0100007F:1F90 0100007F:C000 01 00000000:00000000
"""
UDP = "  sl  local_address rem_address   st\n  9: 00000000:12B5 00000000:0000 07 0:0\n"
RELEASE = """\
PRETTY_NAME="Ubuntu 24.04.1 LTS"
ID=ubuntu
VERSION_ID="24.04"
VERSION_CODENAME=noble
ID_LIKE=debian
"""
FILES = {
    "etc/os-release": RELEASE,
    "etc/machine-id": "5d2\n",
    "proc/filesystems": "nodev\ttmpfs\nnodev\toverlay\n",
    "proc/meminfo": "MemTotal:        2097152 kB\n",
    "proc/net/tcp": TCP,
    "proc/net/udp6": UDP,
    "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
    "usr/bin/apt-get": "",
    "lib/modules/6.8/x": "",
}
OWN = PackageSource(SourceKind.DISTRIBUTION, Packages.DISTRIBUTION)
INFO = {
    "ServerVersion": "29.1.0",
    "Driver": "overlayfs",
    "Swarm": {"LocalNodeState": "active"},
    "ContainersRunning": 2,
    "Containers": 3,
    "Images": 4,
    "LiveRestoreEnabled": False,
}


class Answering(Engine):
    """An engine that says this of itself."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.said = said

    def info(self) -> Mapping[str, Any]:
        if not self.said:
            raise EngineError("no")
        return self.said


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def silent(argv: Sequence[str], timeout: float = QUICK_S) -> Said:  # noqa: ARG001 - as a program
    return Said(127)


def test_a_machine_is_read_from_its_files(root: Path) -> None:
    facts = read_machine(Answering({}), OWN, silent, root)
    assert facts.system.key == "ubuntu-24.04"
    assert (facts.system.name, facts.system.codename, facts.system.like) == (
        "Ubuntu 24.04.1 LTS",
        "noble",
        ("debian",),
    )
    assert (facts.has_overlay, facts.cgroup, facts.memory) == (True, 2, 2 * 1024**3)
    assert facts.listening == {("tcp", 2377), ("udp", 4789)}
    assert (facts.has_modules, facts.has_machine_id, facts.engine) == (True, True, None)
    assert (facts.packages.manager, facts.disk_free > 0, facts.source_trouble) == ("apt", True, "")


def test_of_an_empty_machine_nothing_can_be_told(tmp_path: Path) -> None:
    facts = read_machine(Answering({}), OWN, silent, tmp_path)
    assert (facts.system.id, facts.has_overlay, facts.cgroup, facts.memory) == ("", False, 0, 0)
    assert (facts.packages.manager, facts.listening, facts.has_modules) == ("", frozenset(), False)


def test_a_mirror_is_tried(root: Path, tmp_path: Path) -> None:
    index = tmp_path / "mirror/dists/noble/InRelease"
    source = PackageSource(SourceKind.MIRROR, Packages.DISTRIBUTION, (tmp_path / "mirror").as_uri())
    assert "No such file" in read_machine(Answering({}), source, silent, root).source_trouble
    index.parent.mkdir(parents=True)
    index.write_text("x")
    assert read_machine(Answering({}), source, silent, root).source_trouble == ""


def test_an_engine_tells_what_it_is() -> None:
    assert read_engine(Answering(INFO)) == RunningEngine("29.1.0", "overlayfs", "active", 2, 7)
    assert read_engine(Answering({})) is None


def test_this_machine_can_be_read() -> None:
    assert read_system().id
