"""The entry layer: what is rendered of it, what it needs first, and what is said where it cannot stand."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from bootstrap.__main__ import main
from bootstrap.engine.network import Network
from bootstrap.errors import AgentError
from bootstrap.stacks import deploy
from bootstrap.stacks.catalog import choose_settings, name_configs, named, rendered
from tests.unit.bootstrap.stacks.support.fake_docker import Docker, Manager

TRAEFIK = named("traefik")
CONTROL = Network("control", ("10.32.100.0/24",), "control")
ENTRY = Network("entry", ("10.32.128.0/20",))


def compose(**given: str) -> dict[str, Any]:
    settings = choose_settings(TRAEFIK, given, {})
    names = name_configs(TRAEFIK, TRAEFIK.configs(settings))
    found: dict[str, Any] = yaml.safe_load(rendered(TRAEFIK, settings, {}, names))
    return found


def static(**given: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        TRAEFIK.configs(choose_settings(TRAEFIK, given, {}))["traefik.yml"]
    )
    return found


def manager(*networks: Network, label: str = "on-demand") -> Manager:
    engine = Manager()
    engine.found += networks
    node = engine.nodes()[0]
    engine.update_node(node, Labels={"swarmkeeper.lifecycle": label})
    return engine


def up(engine: Manager, **given: str) -> Docker:
    docker = Docker(engine)
    deploy.deploy(engine, TRAEFIK, choose_settings(TRAEFIK, given, {}), docker)
    return docker


def test_its_ports_are_the_nodes_own_and_it_has_no_engines_socket() -> None:
    service = compose(HTTP_PORT="8080")["services"]["traefik"]
    assert [(port["target"], port["published"], port["mode"]) for port in service["ports"]] == [
        (80, 8080, "host"),
        (443, 443, "host"),
    ]
    assert service["deploy"]["mode"] == "global"
    assert service["volumes"] == ["certificates:/certificates"]
    assert static()["providers"]["swarm"]["endpoint"] == "tcp://docker-api:2375"


def test_it_stands_on_on_demand_nodes_unless_its_data_may_be_lost() -> None:
    assert compose()["services"]["traefik"]["deploy"]["placement"]["constraints"] == [
        "node.labels.swarmkeeper.lifecycle==on-demand"
    ]
    assert "placement" not in compose(ON_DEMAND="0")["services"]["traefik"]["deploy"]


def test_each_entry_point_asks_another_task_where_one_has_left() -> None:
    points = static()["entryPoints"]
    assert {
        name for name, one in points.items() if one.get("http", {}).get("middlewares") == ["retry@file"]
    } == {
        "web",
        "websecure",
    }
    dynamic = yaml.safe_load(TRAEFIK.configs(choose_settings(TRAEFIK, {}, {}))["dynamic.yml"])
    assert dynamic["http"]["middlewares"]["retry"]["retry"]["attempts"] > 1


def test_a_changed_setting_gives_one_config_another_name_and_the_other_its_own() -> None:
    names = [set(compose(**given)["configs"]) for given in ({}, {"TRAEFIK_REFRESH": "5"})]
    assert names[0] == names[1] == {"traefik.yml", "dynamic.yml"}
    before, after = (
        {file: one["name"] for file, one in compose(**given)["configs"].items()}
        for given in ({}, {"TRAEFIK_REFRESH": "5"})
    )
    assert before["dynamic.yml"] == after["dynamic.yml"]
    assert before["traefik.yml"] != after["traefik.yml"]
    assert all(len(name) <= 64 for name in after.values())


def test_the_network_that_it_shares_is_made_once_before_it_comes() -> None:
    docker = up(manager(CONTROL), ENTRY_GATEWAY="10.32.128.1")
    assert docker.asked[0] == (
        *("network", "create", "--driver", "overlay", "--attachable", "--subnet", "10.32.128.0/20"),
        *("--gateway", "10.32.128.1", "entry"),
    )
    assert docker.asked[1][:2] == ("stack", "deploy")
    assert [words[:2] for words in up(manager(CONTROL, ENTRY)).asked] == [("stack", "deploy")]


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (manager(), r"needs network control; nothing was changed: deploy stack control first"),
        (manager(CONTROL, label="spot"), r"no active node has it; nothing was changed: label one that stays"),
        (
            manager(CONTROL, Network("entry", ("10.9.0.0/24",))),
            r"network entry has range 10.9.0.0/24, and cannot be changed: deploy with --set ENTRY_SUBNET=",
        ),
        (
            manager(CONTROL, Network("app", ("10.32.130.0/24",))),
            r"range 10.32.128.0/20 of network entry overlaps 10.32.130.0/24 of network app",
        ),
    ],
)
def test_what_keeps_it_from_its_work_is_said_before_anything_is_done(engine: Manager, said: str) -> None:
    docker = Docker(engine)
    with pytest.raises(AgentError, match=said):
        deploy.deploy(engine, TRAEFIK, choose_settings(TRAEFIK, {}, {}), docker)
    assert docker.asked == []


def test_on_spot_nodes_by_wish_it_comes_and_the_risk_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    docker = up(manager(CONTROL, ENTRY, label="spot"), ON_DEMAND="0")
    assert docker.asked
    assert (
        "warning: stack traefik keeps data and may stand on 4 nodes that are not" in capsys.readouterr().err
    )


def test_a_config_of_ones_own_is_taken_as_it_is() -> None:
    own = {"dynamic.yml": b"http: {}  # ${HTTP_PORT:-80}\n"}
    engine = manager(CONTROL, ENTRY)
    docker = Docker(engine)
    deploy.deploy(engine, TRAEFIK, choose_settings(TRAEFIK, {}, {}), docker, own)
    assert own["dynamic.yml"] in docker.files["traefik"].values()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("pipeline=x", "stack traefik has no config 'pipeline'; its configs are traefik.yml, dynamic.yml"),
        ("dynamic.yml=/no/such", "config dynamic.yml cannot be read"),
        ("dynamic.yml=/dev/null", "config dynamic.yml must have 1 to 500000 bytes, not 0"),
        ("dynamic.yml", "--config takes NAME=VALUE"),
    ],
)
def test_a_config_that_cannot_be_taken_is_one_clear_line(
    config: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stack", "deploy", "traefik", "--config", config]) == 64
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
