"""What people have written into the engine's settings stays; what is described is put in."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.host.settings_merge import list_changes, merge
from bootstrap.machine.wanted import wanted_settings
from chalicelib.protocol.description import StorageDriver, WantedEngine

LOG = {"log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"}}


@pytest.mark.parametrize(
    ("there", "wanted", "merged"),
    [
        ({}, LOG, LOG),
        ({"labels": ["a=b"]}, LOG, {"labels": ["a=b"], **LOG}),
        (
            {"log-driver": "json-file", "log-opts": {"max-size": "5m", "compress": "true"}},
            LOG,
            {**LOG, "log-opts": {"max-size": "10m", "compress": "true", "max-file": "3"}},
        ),
        ({"log-driver": "syslog", "log-opts": {"tag": "x"}}, LOG, LOG),
        ({"dns": ["10.0.0.2"]}, {"dns": ["10.0.0.3", "10.0.0.2"]}, {"dns": ["10.0.0.2", "10.0.0.3"]}),
        ({"mtu": 1400}, {"mtu": 1450}, {"mtu": 1450}),
    ],
)
def test_settings_there_and_wanted_then_merged(
    there: dict[str, Any], wanted: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge(there, wanted) == merged
    assert list_changes(merged, wanted) == [], "a second time nothing changes"


def test_a_change_tells_what_was_there() -> None:
    assert list_changes({"mtu": 1400}, {"mtu": 1450, "debug": True}) == [
        "debug: True",
        "mtu: 1450 (was 1400)",
    ]


@pytest.mark.parametrize(
    ("version", "has_plugin", "least"),
    [("28.5.2", True, None), ("5:29.1.0-1~noble", True, "1.24"), ("29.1.0", False, None)],
)
def test_an_old_api_is_allowed_only_where_the_plugin_needs_it(
    version: str, has_plugin: bool, least: str | None
) -> None:
    found = wanted_settings(WantedEngine(version), version, has_plugin=has_plugin)
    assert found.get("min-api-version") == least


def test_storage_driver_is_set_only_where_one_is_chosen() -> None:
    engine = WantedEngine("28.5.2", storage_driver=StorageDriver.OVERLAY2, settings={"mtu": 1450})
    assert wanted_settings(engine, "28.5.2", has_plugin=False) == {
        **LOG,
        "storage-driver": "overlay2",
        "mtu": 1450,
    }
    assert wanted_settings(WantedEngine("28.5.2"), "28.5.2", has_plugin=False) == LOG
