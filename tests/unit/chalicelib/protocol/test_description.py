"""A description survives the way to a host, and one that is wrong anywhere is refused in one line."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given

from chalicelib.protocol.description import (
    Description,
    Driver,
    PackageSource,
    SourceKind,
    WantedEngine,
    WantedNetwork,
    WantedNetworking,
    WantedStack,
)
from chalicelib.protocol.description_codec import (
    decode_description,
    digest_host,
    digest_stack,
    encode_description,
)
from chalicelib.protocol.strict_json import ProtocolError
from tests.unit.support.hostile import CHANGES, mutate

CONTROL = WantedNetwork("control", "10.32.100.0/24", "10.32.100.1")
ELK_NET = WantedNetwork("elk_net", "10.32.200.0/24")
BLUE = Description(
    "blue",
    WantedEngine("28.5.2", settings={"insecure-registries": ["mirror:5000"], "debug": True}),
    profile="current",
    network=WantedNetworking(Driver.WEAVE, "weaveworks/net-plugin:2.1.3", networks=(CONTROL, ELK_NET)),
    stacks=(WantedStack("control", {"DOCKER_API_POST": "0"}),),
)


def changed(path: str, value: object) -> str:
    """Write BLUE with another value at a path such as ``network.networks.0.subnet``."""
    whole = json.loads(encode_description(BLUE))
    inner: Any = whole
    *way, last = path.split(".")
    for step in way:
        inner = inner[int(step) if isinstance(inner, list) else step]
    inner[int(last) if isinstance(inner, list) else last] = value
    return json.dumps(whole)


def test_a_description_survives_the_way() -> None:
    assert decode_description(encode_description(BLUE)) == BLUE


def test_only_name_and_engine_are_needed() -> None:
    least = decode_description('{"name": "blue", "engine": {"version": "any"}}')
    assert least == Description("blue", WantedEngine("any"))


def test_equal_descriptions_are_equal_texts() -> None:
    settings = {"debug": True, "insecure-registries": ["mirror:5000"]}
    other = replace(BLUE, engine=replace(BLUE.engine, settings=settings))
    assert encode_description(other) == encode_description(BLUE)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("name", "a b", "description.name must be a cluster's name"),
        ("name", "x" * 65, "description.name"),
        ("unknown", 1, "unknown field 'unknown'"),
        ("engine.version", "latest", "description.engine.version must be an exact version"),
        ("engine.version", "28.5", "description.engine.version"),
        ("engine.version", "28.5.2; reboot", "description.engine.version"),
        ("engine.storage_driver", "aufs", "one of overlay2, overlayfs, default, not 'aufs'"),
        ("engine.log_max_file", 0, "description.engine.log_max_file must be a whole number"),
        ("engine.log_max_size", "10 m", "description.engine.log_max_size must be a size"),
        ("engine.live_restore", True, "an engine with live-restore makes no swarm"),
        ("engine.settings", {"hosts": ["tcp://0.0.0.0"]}, "unknown field 'hosts'"),
        ("engine.settings", {"debug": None}, "description.engine.settings.debug must be a text"),
        ("engine.settings", {"debug": [[[[1]]]]}, "description.engine.settings.debug"),
        ("engine.source.key", "http://mirror/key", "a path on the host"),
        ("engine.source.url", "ftp://mirror", "begins with https://"),
        ("engine.source.suite", "a b", "description.engine.source.suite"),
        ("registry", "Mirror Example", "a registry such as"),
        ("network.plugin", "weaveworks/net-plugin", "a plugin's reference with its tag"),
        ("network.plugin", "", "as the driver is weave"),
        ("network.networks.0.subnet", "10.32.100.7/24", "an IPv4 network such as"),
        ("network.networks.0.subnet", "10.0.0.0/24", "inside 10.32.0.0/12, the plugin's range"),
        ("network.networks.1.subnet", "10.32.100.128/25", "apart from 10.32.100.0/24 of network control"),
        ("network.networks.0.gateway", "10.32.101.1", "an address inside 10.32.100.0/24"),
        ("network.networks.0.gateway", "10.32.100.255", "neither its first nor its last"),
        ("network.networks.1.name", "control", "each of another name"),
        ("stacks.0.name", "../control", "a name of at most 63"),
        ("stacks.0.settings", {"a": "b"}, "unknown field 'a'"),
        ("stacks.0.settings", {"A": "b$(reboot)"}, "description.stacks.settings.A must be letters"),
        ("stacks.0.settings", {f"A{number}": "" for number in range(101)}, "at most 100 entries"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(path: str, value: object, told: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_description(changed(path, value))
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.fuzz
@given(CHANGES)
def test_a_changed_description_is_read_to_the_letter_or_refused(
    changes: list[tuple[list[int], object]],
) -> None:
    text = json.dumps(mutate(asdict(BLUE), changes))
    try:
        found = decode_description(text)
    except ProtocolError as error:
        assert str(error).isprintable()  # noqa: PT017 - both ways are good ones
        return
    assert decode_description(encode_description(found)) == found


def test_a_hosts_digest_is_that_of_what_hosts_take_from_the_description() -> None:
    stacks = replace(BLUE, stacks=(), network=replace(BLUE.network, networks=()))
    mirror = PackageSource(SourceKind.MIRROR, url="https://mirror")
    assert digest_host(stacks) == digest_host(BLUE)
    assert digest_host(replace(BLUE, engine=replace(BLUE.engine, source=mirror))) != digest_host(BLUE)
    assert digest_host(replace(BLUE, network=replace(BLUE.network, plugin="a:1"))) != digest_host(BLUE)


def test_a_stacks_digest_is_that_of_its_settings() -> None:
    assert digest_stack(WantedStack("a", {"X": "1"})) != digest_stack(WantedStack("a", {"X": "2"}))
