"""The stand-in's status pages are laid out as the original's: the agent reads both alike."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import cast

from bootstrap.network.router_status import read_status
from tests.lab.netplugin.router.mesh import Mesh, Row
from tests.lab.netplugin.router.pages import write_connections, write_status
from tests.unit.bootstrap.network.support import samples

RANGE = "10.32.0.0/12"
OURSELF = ("->", "10.231.77.1:6783", "failed", "cannot connect to ourself, retry: never")
SECOND = ("->", "10.231.77.2:6783", "established", "fastdp 62:aa:01:02:03:04(ip-10-231-77-2) mtu=1376")
THIRD = ("<-", "10.231.77.3:41234", "established", "fastdp 62:aa:01:02:03:05(ip-10-231-77-3) mtu=1376")


def mesh(targets: int, peers: int, *rows: Row) -> Mesh:
    parts = {
        "lock": threading.RLock(),
        "rows": lambda: list(rows),
        "peers": dict.fromkeys(range(peers)),
        "count_connections": lambda: peers * (peers + 1),
        "name": "22:19:a8:4f:a5:53",
        "nick": "ip-10-231-77-1",
        "targets": [""] * targets,
        "range": RANGE,
    }
    return cast("Mesh", SimpleNamespace(**parts))


def test_a_manager_looks_as_with_the_original() -> None:
    pages = mesh(3, 2, OURSELF, SECOND, THIRD)
    assert write_connections(pages) == samples.LINKS
    found = read_status(write_status(pages), write_connections(pages))
    assert found == read_status(samples.MANAGER, samples.LINKS)
    assert [line.partition(":")[0] for line in write_status(pages).splitlines()] == [
        line.partition(":")[0] for line in samples.MANAGER.splitlines()
    ]


def test_one_without_targets_looks_as_with_the_original() -> None:
    pages = mesh(0, 0)
    assert read_status(write_status(pages), write_connections(pages)) == read_status(samples.UNTARGETED, "")
