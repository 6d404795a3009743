"""The facts of a machine without an engine."""

from __future__ import annotations

from bootstrap.machine.checks import GIGABYTE
from bootstrap.machine.facts import MachineFacts, PackageFacts
from tests.unit.bootstrap.support.fake_machine import NOBLE

BARE = MachineFacts(
    system=NOBLE,
    kernel="6.8.0-1021-aws",
    has_overlay=True,
    cgroup=2,
    disk_free=40 * GIGABYTE,
    memory=4 * GIGABYTE,
    is_clock_synchronised=True,
    listening=frozenset({("tcp", 22), ("udp", 68)}),
    python=(3, 12),
    packages=PackageFacts("apt"),
    engine=None,
    source="https://download.docker.com/linux/ubuntu/dists/noble/InRelease",
    source_trouble="",
)
