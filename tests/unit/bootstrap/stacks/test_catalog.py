"""Stacks: their settings, what is rendered of them, and the agent in parts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootstrap.__main__ import main
from bootstrap.engine.decode import read_network
from bootstrap.engine.network import Network
from bootstrap.stacks.catalog import (
    CONFIG_BYTES,
    STACKS,
    check_free,
    choose_settings,
    named,
    parts,
    rendered,
)
from tests.unit.bootstrap.support.built_agent import built_agent

CONTROL, BALANCER = named("control"), named("service-balancer")
OURS = Network("control", ("10.32.100.0/24",), "control")


def test_the_agent_is_cut_into_configs_that_swarm_accepts_and_named_after_its_hash() -> None:
    content = os.urandom(2 * CONFIG_BYTES + 1)
    cut = parts(content)
    digest = hashlib.sha256(content).hexdigest()[:16]
    assert list(cut) == [f"agent-{digest}-{number}" for number in (1, 2, 3)]
    assert b"".join(cut.values()) == content
    assert [len(part) for part in cut.values()] == [CONFIG_BYTES, CONFIG_BYTES, 1]
    assert CONFIG_BYTES <= 500 * 1024


def test_the_parts_are_mounted_so_that_the_shell_puts_them_together_in_order() -> None:
    cut = parts(b"x" * (CONFIG_BYTES * 11))
    text = rendered(BALANCER, choose_settings(BALANCER, {}, {}), cut)
    lines = [json.loads(found) for found in re.findall(r"configs: (.+)", text)]
    targets = [mount["target"] for mount in lines[0]]
    assert len(targets) == 11
    assert sorted(targets) == targets
    assert lines[1] == {name: {"name": name, "file": f"./{name}"} for name in cut}


def test_the_contracts_values_are_the_defaults() -> None:
    text = rendered(CONTROL, choose_settings(CONTROL, {}, {}), {})
    for line in (
        'image: "tecnativa/docker-socket-proxy:v0.4.2@sha256:',
        "mode: global",
        "endpoint_mode: dnsrr",
        'constraints: ["node.role==manager"]',
        "source: /var/run/docker.sock",
        "attachable: true",
        'subnet: "10.32.100.0/24"',
        'driver: "overlay"',
    ):
        assert line in text
    assert "${" not in text


def test_settings_come_from_flags_then_the_environment_and_a_registry_comes_first() -> None:
    environment = {"REGISTRY": "mirror.example:5000", "PYTHON_IMAGE": "python:3.11", "COOLDOWN": "60"}
    settings = choose_settings(BALANCER, {"PYTHON_IMAGE": "python:3"}, environment)
    text = rendered(BALANCER, settings, {})
    assert 'image: "mirror.example:5000/python:3"' in text
    assert 'COOLDOWN: "60"' in text
    assert 'SETTLE: "30"' in text


def test_operators_of_others_may_read_what_they_need_and_write_only_where_asked() -> None:
    for given, post in (({}, "0"), ({"DOCKER_API_POST": "1"}, "1")):
        text = rendered(CONTROL, choose_settings(CONTROL, given, {}), {})
        allowed = dict(re.findall(r"^      ([A-Z]+): \"([01])\"", text, re.MULTILINE))
        reads = ("VERSION", "EVENTS", "INFO", "NODES", "SERVICES", "TASKS", "NETWORKS")
        assert allowed == {**dict.fromkeys(reads, "1"), "POST": post}


def test_the_operator_has_its_managers_socket_and_no_network_to_attach_to() -> None:
    text = rendered(BALANCER, choose_settings(BALANCER, {}, {}), {})
    for line in (
        "source: /var/run/docker.sock",
        'cap_drop: ["ALL"]',
        'constraints: ["node.role==manager"]',
        "networks:\n      - bridge",
    ):
        assert line in text
    assert "ports:" not in text
    assert "attachable" not in text


def test_each_image_has_an_exact_version_and_those_looked_up_a_digest() -> None:
    images = {name: value for stack in STACKS for name, value in stack.defaults.items() if "IMAGE" in name}
    assert {name for name, image in images.items() if "@" in image} == {"DOCKER_API_IMAGE", "PYTHON_IMAGE"}
    for image in images.values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+[\w-]*(@sha256:[0-9a-f]{64})?", image)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy", "tea"], "there is no stack 'tea'; the stacks are control, service-balancer, traefik, "),
        (
            ["deploy", "control", "--set", "COLOUR=red"],
            "no setting 'COLOUR'; its settings are CONTROL_DRIVER",
        ),
        (["deploy", "control", "--set", "SETTLE=1"], "stack control has no setting 'SETTLE'"),
        (["deploy", "control", "--set", "REGISTRY"], "--set takes NAME=VALUE, not 'REGISTRY'"),
        (["deploy", "control", "--set", 'REGISTRY=a"\nb'], "may hold letters, digits and ._/:@+- only"),
        (["deploy", "control", "--set", "CONTROL_SUBNET=10.32.100.1/24"], "such as 10.32.100.0/24"),
        (["deploy", "control", "--set", "CONTROL_SUBNET=10.32.0.0/33"], "is no IPv4 network"),
        (
            ["deploy", "control", "--set", "CONTROL_DRIVER=weave:1", "--set", "CONTROL_SUBNET=10.0.0.0/24"],
            "setting CONTROL_SUBNET: a network of driver weave:1 must lie inside 10.32.0.0/12",
        ),
        (
            ["deploy", "control", "--set", "DOCKER_API_POST=yes"],
            "DOCKER_API_POST must be 0 or 1, not 'yes'",
        ),
        (["deploy", "service-balancer", "--set", "SETTLE=soon"], "SETTLE must be a number of seconds"),
        (["deploy", "service-balancer", "--dry-run"], "this is no zipapp"),
        (["rm", "tea"], "there is no stack 'tea'"),
    ],
)
def test_bad_input_is_one_clear_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", *words]) == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_the_stacks_own_network_and_those_beside_it_are_in_nobodys_way() -> None:
    check_free(
        "10.32.100.0/24", [OURS, Network("elk_net", ("10.32.200.0/24",)), Network("six", ("fd00::/64",))]
    )


def test_a_network_is_read_from_what_the_engine_lists() -> None:
    row: dict[str, Any] = {
        "Name": "control",
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.32.100.0/24", "Gateway": "10.32.100.1"}]},
        "Labels": {"com.docker.stack.namespace": "control"},
    }
    assert read_network(row) == replace(OURS, gateways=("10.32.100.1",))
    assert read_network({"Name": "host", "IPAM": {"Config": None}, "Labels": None}) == Network("host", ())


def test_the_list_shows_every_stack_with_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "ls"]) == 0
    out = capsys.readouterr().out
    for line in ("  CONTROL_SUBNET=10.32.100.0/24", "  DOCKER_API_POST=0", "  REGISTRY="):
        assert f"{line}\n" in out


def test_the_zipapp_renders_its_stacks_with_its_own_bytes(tmp_path: Path) -> None:
    agent = tmp_path / "agent.pyz"
    agent.write_bytes(built_agent())
    words = [sys.executable, "-I", str(agent), "stack", "deploy", "service-balancer", "--dry-run"]
    text = subprocess.run(words, capture_output=True, text=True, check=True, cwd="/").stdout
    for name in parts(agent.read_bytes()):
        assert f'"file": "./{name}"' in text
