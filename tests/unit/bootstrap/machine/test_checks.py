"""Each fact of a machine is judged by itself: whether it will do, why not, and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.machine.checks import GIGABYTE, Verdict, can_go_on, judge
from bootstrap.machine.facts import MachineFacts, PackageFacts, RunningEngine, System
from bootstrap.machine.wanted import Wanted
from chalicelib.protocol.description import StorageDriver, WantedEngine, WantedHost
from tests.unit.bootstrap.machine.support.facts import BARE

CURRENT = Wanted(WantedEngine("29.1.0"))
BOOK = Wanted(WantedEngine("17.06.2", storage_driver=StorageDriver.OVERLAY2), has_plugin=True)
ANY_HOST = WantedHost()
BOOK_HOST = WantedHost(("ubuntu-16.04", "centos-7"), "4.4", "4.13")
ENGINE = RunningEngine("29.1.0", "overlayfs")
XENIAL = System("ubuntu", "16.04", "xenial", "Ubuntu 16.04.3 LTS", ("debian",), "x86_64")
TROUBLE = "<urlopen error timed out>"


def verdicts(facts: MachineFacts, wanted: Wanted = CURRENT, host: WantedHost = ANY_HOST) -> dict[str, str]:
    return {check.name: check.verdict.value for check in judge(facts, wanted, host)}


def test_a_bare_host_lacks_an_engine_and_nothing_else() -> None:
    found = judge(BARE, CURRENT)
    (missing,) = [check for check in found if check.verdict is not Verdict.OK]
    assert (missing.name, missing.found, missing.reason) == ("engine", "none", "29.1.0 is wanted")
    assert (missing.action, can_go_on(found)) == ("agent install", True)


def test_a_node_as_described_is_well_in_all_respects() -> None:
    ports = frozenset({("tcp", 2377), ("tcp", 7946), ("udp", 7946), ("udp", 4789)})
    facts = replace(BARE, engine=replace(ENGINE, swarm="active", containers=4), listening=ports)
    assert set(verdicts(facts).values()) == {"ok"}


@pytest.mark.parametrize(
    ("changed", "name", "verdict"),
    [
        ({"packages": PackageFacts()}, "os", "fail"),
        ({"packages": PackageFacts("apt", trouble="slow")}, "os", "warn"),
        ({"kernel": "3.2.0"}, "kernel", "fail"),
        ({"has_overlay": False}, "storage driver", "fail"),
        ({"engine": replace(ENGINE, storage_driver="overlay2")}, "storage driver", "ok"),
        ({"engine": replace(ENGINE, storage_driver="vfs")}, "storage driver", "warn"),
        ({"engine": replace(ENGINE, storage_driver="vfs", kept=2)}, "storage driver", "fail"),
        ({"engine": ENGINE}, "engine", "ok"),
        ({"engine": replace(ENGINE, version="28.5.2+dfsg4")}, "engine", "warn"),
        ({"engine": replace(ENGINE, version="29.2.0")}, "engine", "fail"),
        ({"engine": replace(ENGINE, live_restore=True)}, "engine", "fail"),
        ({"packages": PackageFacts("apt", {"docker-ce": "5:29.1.0-1"})}, "engine", "warn"),
        ({"cgroup": 1}, "cgroup", "ok"),
        ({"cgroup": 0}, "cgroup", "fail"),
        ({"disk_free": 9 * GIGABYTE}, "disk", "warn"),
        ({"disk_free": GIGABYTE}, "disk", "fail"),
        ({"memory": int(1.9 * GIGABYTE)}, "memory", "ok"),
        ({"memory": GIGABYTE}, "memory", "warn"),
        ({"memory": GIGABYTE // 4}, "memory", "fail"),
        ({"is_clock_synchronised": False}, "clock", "warn"),
        ({"is_clock_synchronised": None}, "clock", "warn"),
        ({"listening": frozenset({("tcp", 7946)})}, "port 7946/tcp", "fail"),
        ({"listening": frozenset({("tcp", 7946)})}, "port 7946/udp", "ok"),
        ({"listening": frozenset({("tcp", 7946)}), "engine": ENGINE}, "port 7946/tcp", "fail"),
        ({"python": (3, 9)}, "python", "fail"),
        ({"source_trouble": TROUBLE}, "package source", "fail"),
        ({"source_trouble": TROUBLE, "engine": ENGINE}, "package source", "warn"),
    ],
)
def test_fact_then_verdict(changed: dict[str, object], name: str, verdict: str) -> None:
    facts = replace(BARE, **changed)  # type: ignore[arg-type]
    assert verdicts(facts)[name] == verdict


@pytest.mark.parametrize(
    ("kernel", "verdict"),
    [
        ("4.4.0-87-generic", "ok"),
        ("4.9.51", "ok"),
        ("4.13.0-16", "warn"),
        ("6.8.0", "warn"),
        ("4.3.1", "warn"),
    ],
)
def test_the_books_kernels(kernel: str, verdict: str) -> None:
    assert verdicts(replace(BARE, kernel=kernel), BOOK, BOOK_HOST)["kernel"] == verdict


def test_the_book_takes_its_systems_and_overlay2_alone() -> None:
    assert verdicts(BARE, BOOK, BOOK_HOST)["os"] == "warn"
    assert verdicts(replace(BARE, system=XENIAL), BOOK, BOOK_HOST)["os"] == "ok"
    old = RunningEngine("17.06.2-ce", "overlay2")
    assert verdicts(replace(BARE, engine=old), BOOK, BOOK_HOST)["storage driver"] == "ok"
    assert (
        verdicts(replace(BARE, engine=replace(old, storage_driver="overlayfs")), BOOK)["storage driver"]
        == "warn"
    )


@pytest.mark.parametrize(("version", "verdict"), [("7", "ok"), ("7.4", "ok"), ("8", "warn"), ("70", "warn")])
def test_a_minor_release_is_of_its_system(version: str, verdict: str) -> None:
    assert verdicts(replace(BARE, system=System("centos", version)), BOOK, BOOK_HOST)["os"] == verdict


def test_the_plugin_needs_its_ports_modules_and_a_machine_id() -> None:
    facts = replace(BARE, has_modules=False, has_machine_id=False, listening=frozenset({("udp", 6784)}))
    found = verdicts(facts, BOOK)
    wrong = {name for name, verdict in found.items() if verdict == "fail"}
    assert wrong == {"kernel modules", "machine id", "port 6784/udp"}
    assert "port 6784/udp" not in verdicts(facts), "without it they do not count"


def test_whatever_is_wrong_has_a_reason_and_something_to_do() -> None:
    worst = replace(BARE, system=System(), kernel="", has_overlay=False, cgroup=0, disk_free=0, memory=0)
    for check in judge(replace(worst, source_trouble=TROUBLE, is_clock_synchronised=None), BOOK, BOOK_HOST):
        assert bool(check.reason) is bool(check.action) is (check.verdict is not Verdict.OK), check
