"""What differs from the description is found, each with a reason and what would fix it; nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.protocol.description import (
    Description,
    Driver,
    StorageDriver,
    WantedEngine,
    WantedNetwork,
    WantedNetworking,
    WantedStack,
)
from chalicelib.protocol.description_codec import digest_host, digest_stack
from chalicelib.protocol.drift import Drift, Fix, Kind, find_drift
from chalicelib.protocol.inventory import Inventory, ReportedHost, ReportedNetwork, ReportedStack

INSTANCE, PLUGIN = "i-0123456789abcdef0", "weaveworks/net-plugin:2.1.3"
CONTROL = WantedNetwork("control", "10.32.100.0/24", "10.32.100.1")
BLUE = Description(
    "blue",
    WantedEngine("28.5.2"),
    network=WantedNetworking(Driver.WEAVE, PLUGIN, networks=(CONTROL,)),
    stacks=(WantedStack("control", {"DOCKER_API_POST": "0"}),),
)
HOST = ReportedHost(
    INSTANCE,
    "abc",
    digest_host(BLUE),
    "28.5.2",
    "overlay2",
    "json-file",
    {"max-size": "10m", "max-file": "3"},
    live_restore=False,
    plugin=PLUGIN,
)
NETWORK = ReportedNetwork("control", PLUGIN, ("10.32.100.0/24",), ("10.32.100.1",), attachable=True)
STACK = ReportedStack("control", digest_stack(BLUE.stacks[0]), {"DOCKER_API_POST": "0"})
ALIKE = Inventory((HOST,), (NETWORK,), (STACK,))


def only(wanted: Description, found: Inventory) -> Drift:
    (drift,) = find_drift(wanted, found)
    return drift


def test_what_is_as_described_has_no_drift() -> None:
    assert find_drift(BLUE, ALIKE) == ()


def test_what_nobody_has_said_differs_in_nothing() -> None:
    assert find_drift(BLUE, Inventory((ReportedHost(INSTANCE),))) == ()


@pytest.mark.parametrize("version", ["28.5.2", "28.5.2+dfsg4", "28.5.2-ce"])
def test_what_a_packager_adds_to_a_version_is_no_drift(version: str) -> None:
    assert find_drift(BLUE, replace(ALIKE, hosts=(replace(HOST, version=version),))) == ()


@pytest.mark.parametrize(
    ("host", "field", "wanted", "found", "fix"),
    [
        (replace(HOST, version="28.5.20"), "engine.version", "28.5.2", "28.5.20", Fix.INSTALL),
        (
            replace(HOST, storage_driver="aufs"),
            "engine.storage_driver",
            "overlay2 or overlayfs",
            "aufs",
            Fix.BY_HAND,
        ),
        (replace(HOST, log_driver="local"), "engine.log_driver", "json-file", "local", Fix.INSTALL),
        (
            replace(HOST, log_options={"max-size": "10m"}),
            "engine.log_max_file",
            "3",
            "nothing",
            Fix.INSTALL,
        ),
        (replace(HOST, live_restore=True), "engine.live_restore", "false", "true", Fix.INSTALL),
        (replace(HOST, plugin=""), "network.plugin", PLUGIN, "nothing", Fix.PLUGIN),
        (
            replace(HOST, description="0" * 16),
            "description",
            digest_host(BLUE),
            "0" * 16,
            Fix.INSTALL,
        ),
    ],
)
def test_a_host_that_differs_is_named_with_field_and_fix(
    host: ReportedHost, field: str, wanted: str, found: str, fix: Fix
) -> None:
    drift = only(BLUE, replace(ALIKE, hosts=(host,)))
    assert (drift.kind, drift.name, drift.fixes) == (Kind.NODE, INSTANCE, (fix,))
    (difference,) = drift.differences
    assert (difference.field, difference.wanted, difference.found) == (field, wanted, found)
    assert difference.reason
    assert str(drift).startswith(f"node {INSTANCE}: {field} is {found}, not {wanted}: ")


def test_the_digest_is_told_only_where_nothing_else_differs() -> None:
    host = replace(HOST, description="0" * 16, version="27.0.1")
    assert [one.field for one in only(BLUE, replace(ALIKE, hosts=(host,))).differences] == ["engine.version"]


def test_a_plugin_that_is_no_longer_wanted_is_left_to_people() -> None:
    network = replace(BLUE.network, driver=Driver.OVERLAY)
    blue = replace(BLUE, network=network)
    found = replace(ALIKE, networks=(replace(NETWORK, driver="overlay"),))
    assert only(blue, found).fixes == (Fix.BY_HAND,)


def test_a_storage_driver_that_is_named_is_the_only_one() -> None:
    blue = replace(BLUE, engine=replace(BLUE.engine, storage_driver=StorageDriver.OVERLAYFS))
    host = replace(HOST, description=digest_host(blue))
    assert only(blue, replace(ALIKE, hosts=(host,))).differences[0].wanted == "overlayfs"


def test_a_network_that_is_missing_can_be_made() -> None:
    drift = only(BLUE, replace(ALIKE, networks=()))
    assert (drift.kind, drift.name, drift.fixes) == (Kind.NETWORK, "control", (Fix.CREATE_NETWORK,))


@pytest.mark.parametrize(
    "network",
    [
        replace(NETWORK, driver=""),
        replace(NETWORK, driver="overlay"),
        replace(NETWORK, subnets=("10.32.101.0/24",)),
        replace(NETWORK, gateways=()),
        replace(NETWORK, attachable=False),
    ],
)
def test_a_network_that_differs_is_left_to_people(network: ReportedNetwork) -> None:
    drift = only(BLUE, replace(ALIKE, networks=(network,)))
    assert drift.fixes == (Fix.BY_HAND,)
    assert "cannot be changed" in drift.differences[0].reason


def test_a_network_that_nobody_described_is_nobodys_business() -> None:
    assert find_drift(BLUE, replace(ALIKE, networks=(NETWORK, replace(NETWORK, name="mine")))) == ()


def test_stacks_are_deployed_changed_and_removed() -> None:
    assert only(BLUE, replace(ALIKE, stacks=())).fixes == (Fix.DEPLOY,)
    writing = replace(STACK, settings={"DOCKER_API_POST": "1"}, digest="")
    changed = only(BLUE, replace(ALIKE, stacks=(writing,)))
    assert (changed.fixes, changed.differences[0].field) == ((Fix.DEPLOY,), "DOCKER_API_POST")
    unknown = replace(STACK, settings={}, digest="0" * 16)
    assert only(BLUE, replace(ALIKE, stacks=(unknown,))).differences[0].field == "settings"
    extra = only(BLUE, replace(ALIKE, stacks=(STACK, ReportedStack("old"))))
    assert (extra.kind, extra.name, extra.fixes) == (Kind.STACK, "old", (Fix.REMOVE,))


def test_drifts_come_in_the_order_in_which_they_are_fixed() -> None:
    found = Inventory((replace(HOST, version="27.0.1", plugin=""),), (), ())
    drifts = find_drift(BLUE, found)
    assert [drift.kind for drift in drifts] == [Kind.NODE, Kind.NETWORK, Kind.STACK]
    assert drifts[0].fixes == (Fix.INSTALL, Fix.PLUGIN)
