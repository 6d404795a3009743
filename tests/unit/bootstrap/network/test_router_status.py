"""The router's status pages: the real ones are read, anything else is none."""

from __future__ import annotations

import pytest

from bootstrap.network.router_status import StatusError, read_status
from tests.unit.bootstrap.network.support import samples

RANGE = "10.32.0.0/12"


def test_a_manager_with_a_failed_connection_to_itself_is_healthy() -> None:
    status = read_status(samples.MANAGER, samples.LINKS)
    assert (status.nickname, status.targets, status.peers, status.established) == ("ip-10-231-77-1", 3, 3, 2)
    assert status.range == RANGE
    assert status.connected == {"10.231.77.2", "10.231.77.3"}
    assert [link.peer for link in status.links] == ["", "ip-10-231-77-2", "ip-10-231-77-3"]
    assert status.find_faults(3, RANGE) == []


def test_a_worker_is_connected_to_each_manager() -> None:
    status = read_status(samples.WORKER, samples.WORKER_LINKS)
    assert status.find_faults(4, RANGE) == []
    assert status.find_faults(0, RANGE) == []


def test_what_is_wrong_is_named_each() -> None:
    page = samples.MANAGER.replace("2 established, 1 failed", "1 established, 2 failed")
    status = read_status(page, f"{samples.OURSELF}\n{samples.SECOND}\n{samples.LOST}")
    assert status.find_faults(4, "10.0.0.0/8") == [
        "10.231.77.3 is failed: dial tcp4: no route to host, retry: 2026-11-28 15:06:39",
        "it knows 3 of 4 peers",
        "1 of 3 connections are established",
        "its range is 10.32.0.0/12, not 10.0.0.0/8",
    ]


def test_a_router_without_targets_is_read_as_such() -> None:
    status = read_status(samples.UNTARGETED, "")
    assert (status.targets, status.peers, status.established) == (0, 1, 0)
    assert status.find_faults(1, RANGE) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Service: router", "Service: dns"),
        ("        Service: ipam\n", ""),
        ("Targets: 3", "Targets: many"),
        ("        Targets: 3\n", ""),
        ("3 (2 established, 1 failed)", "3 (2 established)"),
        ("3 (2 established, 1 failed)", "three"),
        ("Peers: 3 (with", "Peers: (with"),
        ("22:19:a8:4f:a5:53(", "22:19("),
        ("Encryption: disabled", "<html>502 Bad Gateway</html>"),
    ],
)
def test_a_page_that_is_none_of_the_routers_is_refused(before: str, after: str) -> None:
    assert before in samples.MANAGER
    with pytest.raises(StatusError, match="the status page of the network plugin is none that is known"):
        read_status(samples.MANAGER.replace(before, after), samples.LINKS)


@pytest.mark.parametrize(
    "line", ["10.231.77.2:6783 established", "-> 10.231.77.2 established", "404 page not found"]
)
def test_a_connection_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(StatusError):
        read_status(samples.MANAGER, line)


@pytest.mark.parametrize(
    "nickname", ["evil\nhost", "evil)\n<html>\nhost", "evil\u2028host", "evil\r\x0bhost", "((((\n"]
)
def test_a_nickname_of_any_letters_is_a_named_fault_and_hides_nobody(nickname: str) -> None:
    links = samples.LINKS.replace("ip-10-231-77-2", nickname)
    assert links != samples.LINKS
    status = read_status(samples.MANAGER, links)
    assert status.connected == {"10.231.77.2", "10.231.77.3"}
    assert status.links[-1].peer == "ip-10-231-77-3"
    faults = [fault for fault in status.find_faults(3, RANGE) if "no connection" in fault]
    assert len(faults) == ("\n" in nickname)


def test_a_line_that_is_none_is_counted_and_shown() -> None:
    status = read_status(samples.MANAGER, f"{samples.LINKS}\nwhatever\nwhat else")
    assert status.find_faults(3, RANGE) == ["lines that are no connection: 2, 'whatever'"]
