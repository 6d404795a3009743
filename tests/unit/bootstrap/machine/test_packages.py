"""apt and dnf are called with exact versions; a lock is waited for; errors are their own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.clock import Clock
from bootstrap.errors import AgentError
from bootstrap.machine.packages import LOCK_TIMEOUT_S, find_manager
from bootstrap.machine.programs import Said, run_program
from bootstrap.machine.service import Service
from chalicelib.protocol.description import Packages, PackageSource, SourceKind
from tests.unit.bootstrap.machine.support.programs import Programs
from tests.unit.bootstrap.support.fake_machine import NOBLE

MADISON = """\
 docker-ce | 5:29.1.0-1~noble | https://download.docker.com/linux/ubuntu noble/stable amd64 Packages
 docker-ce | 5:28.5.2-1~noble | https://download.docker.com/linux/ubuntu noble/stable amd64 Packages
 docker-ce | 5:28.5.2-1~noble | http://mirror noble/stable amd64 Packages
docker.io | 27.5.1-0ubuntu3 | http://archive.ubuntu.com/ubuntu noble/universe Sources
"""
QUERIED = (
    "docker-ce 5:28.5.2-1~noble ii \ncontainerd.io 1.7.28-1 hi \ndocker.io  un \nrunc 1.1 rc \nbash 5 ii \n"
)
LOCKED = Said(
    100, err="E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 77 (unattended-upgr)"
)
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"


def test_what_apt_has_and_offers_is_read(tmp_path: Path) -> None:
    answers = {
        "dpkg-query -W": [Said(1, QUERIED)],
        "apt-cache madison": [Said(0, MADISON)],
        "apt-mark showhold": [Said(0, "docker-ce\n")],
    }
    found = Programs(answers).apt(tmp_path).read()
    assert found.installed == {"docker-ce": "5:28.5.2-1~noble", "containerd.io": "1.7.28-1"}
    assert found.listed == {"docker-ce": ("5:29.1.0-1~noble", "5:28.5.2-1~noble")}
    assert (set(found.held), found.is_broken) == ({"docker-ce"}, False)


@pytest.mark.parametrize("state", ["iU", "iF", "iH", "iW", "it", "iiR", "journal"])
def test_an_interrupted_dpkg_is_seen(tmp_path: Path, state: str) -> None:
    programs = Programs({"dpkg-query -W": [Said(0, f"bash 5.2 ii \nlibx 1 {state} \n")]})
    if state == "journal":
        programs = Programs()
        (tmp_path / "var/lib/dpkg/updates").mkdir(parents=True)
        (tmp_path / "var/lib/dpkg/updates/0001").write_text("")
    assert programs.apt(tmp_path).read().is_broken


def test_apt_installs_exact_versions_and_removes_nothing(tmp_path: Path) -> None:
    programs = Programs()
    programs.apt(tmp_path).install({"docker-ce": "5:28.5.2-1", "docker-ce-cli": "5:28.5.2-1"})
    (call,) = programs.calls
    assert call[-2:] == ("docker-ce=5:28.5.2-1", "docker-ce-cli=5:28.5.2-1")
    assert {"-y", "--no-remove", "--no-install-recommends", "Dpkg::Options::=--force-confold"} <= set(call)


def test_whoever_holds_the_lock_is_waited_for(tmp_path: Path) -> None:
    programs = Programs({"apt-get install": [LOCKED, LOCKED, Said(0)]})
    programs.apt(tmp_path).install({"docker-ce": "1"})
    assert (len(programs.calls), programs.now) == (3, 10)


def test_a_lock_that_is_never_free_is_told_with_who_holds_it(tmp_path: Path) -> None:
    programs = Programs({"apt-get install": [LOCKED]})
    with pytest.raises(AgentError, match=r"apt-get install failed: E: Could not get lock .* process 77"):
        programs.apt(tmp_path).install({"docker-ce": "1"})
    assert LOCK_TIMEOUT_S <= programs.now < LOCK_TIMEOUT_S + 10


def test_an_error_is_apts_own_words(tmp_path: Path) -> None:
    said = Said(
        100, out="Reading...", err="W: slow\nE: Packages need to be removed but remove is disabled.\n"
    )
    with pytest.raises(AgentError, match="failed: E: Packages need to be removed but remove is disabled"):
        Programs({"apt-get install": [said]}).apt(tmp_path).install({"docker-ce": "1"})


def test_a_source_is_written_with_its_key_once(tmp_path: Path) -> None:
    (tmp_path / "key.asc").write_text(KEY)
    source = PackageSource(
        SourceKind.MIRROR, Packages.DISTRIBUTION, "http://mirror", (tmp_path / "key.asc").as_uri(), "lab"
    )
    apt = Programs().apt(tmp_path)
    assert not apt.is_source_set(source, NOBLE)
    apt.set_source(source, NOBLE)
    assert apt.is_source_set(source, NOBLE)
    assert (tmp_path / "etc/apt/keyrings/swarmkeeper-engine.asc").read_text() == KEY
    listed = (tmp_path / "etc/apt/sources.list.d/swarmkeeper-engine.sources").read_text()
    assert "Suites: lab\n" in listed
    assert "Signed-By: /etc/apt/keyrings/swarmkeeper-engine.asc\n" in listed


def test_another_source_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    apt, own = Programs().apt(tmp_path), PackageSource(SourceKind.DISTRIBUTION, Packages.DISTRIBUTION)
    apt.set_source(PackageSource(SourceKind.MIRROR, Packages.DISTRIBUTION, "http://mirror"), NOBLE)
    assert not apt.is_source_set(own, NOBLE)
    apt.set_source(own, NOBLE)
    assert apt.is_source_set(own, NOBLE)
    assert not list((tmp_path / "etc/apt/sources.list.d").iterdir())


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be fetched"), ("<html>", "is no armoured key")])
def test_a_key_that_is_none_leaves_the_source_as_it_was(
    tmp_path: Path, content: str | None, said: str
) -> None:
    place = tmp_path / "key.asc"
    if content:
        place.write_text(content)
    apt = Programs().apt(tmp_path)
    source = PackageSource(SourceKind.MIRROR, Packages.DISTRIBUTION, "http://mirror", place.as_uri())
    with pytest.raises(AgentError, match=said):
        apt.set_source(source, NOBLE)
    assert not apt.is_source_set(source, NOBLE)


def test_what_dnf_has_and_offers_is_read(tmp_path: Path) -> None:
    answers = {
        "rpm -q": [Said(1, "package docker-ce is not installed\ndocker 0:25.0.8-1.amzn2023\n")],
        "dnf -q": [Said(0, "docker 0:25.0.6-1.amzn2023\ndocker 0:25.0.8-1.amzn2023\n")],
    }
    found = Programs(answers).dnf(tmp_path).read()
    assert found.installed == {"docker": "25.0.8-1.amzn2023"}
    assert found.listed == {"docker": ("25.0.8-1.amzn2023", "25.0.6-1.amzn2023")}


def test_dnf_holds_packages_beside_what_people_have_excluded(tmp_path: Path) -> None:
    place = tmp_path / "etc/dnf/dnf.conf"
    place.parent.mkdir(parents=True)
    place.write_text("[main]\ngpgcheck=1\nexcludepkgs=kernel\n")
    dnf = Programs().dnf(tmp_path)
    dnf.hold(frozenset({"docker"}))
    dnf.hold(frozenset({"containerd"}))
    assert place.read_text() == "[main]\nexcludepkgs=containerd docker kernel\ngpgcheck=1\n"
    assert dnf.read().held == {"containerd", "docker", "kernel"}


@pytest.mark.parametrize(("program", "kind"), [("apt-get", "apt"), ("dnf", "dnf"), ("apk", None)])
def test_the_package_manager_is_found(tmp_path: Path, program: str, kind: str | None) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin" / program).write_text("")
    found = find_manager(Programs(), Clock(), tmp_path)
    assert (found.name if found else None) == kind


@pytest.mark.parametrize(
    ("place", "starter", "calls"),
    [
        (
            "run/systemd/system/",
            "systemctl",
            [("systemctl", "enable", "-q", "docker"), ("systemctl", "restart", "docker")],
        ),
        ("usr/sbin/service", "service", [("service", "docker", "restart")]),
    ],
)
def test_the_engine_is_a_service(
    tmp_path: Path, place: str, starter: str, calls: list[tuple[str, ...]]
) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).mkdir() if place.endswith("/") else (tmp_path / place).write_text("")
    programs = Programs()
    service = Service(programs, tmp_path)
    service.restart()
    assert (service.starter, programs.calls) == (starter, calls)


def test_an_engine_that_does_not_start_names_its_log(tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/service").write_text("")
    programs = Programs({"service docker": [Said(1, err="no permission")]})
    with pytest.raises(
        AgentError, match=r"service docker start failed: no permission; see /var/log/docker.log"
    ):
        Service(programs, tmp_path).start()


def test_a_program_that_is_missing_has_the_status_that_shells_give_it() -> None:
    assert run_program(("no-such-program",)).status == 127
    with pytest.raises(AgentError, match=r"sleep 5 did not end within 0.1 s"):
        run_program(("sleep", "5"), 0.1)
