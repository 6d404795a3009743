"""Proxies in front of functions: their spec, what Envoy is told, and what of it rolls."""

from __future__ import annotations

import json
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.__main__ import main
from bootstrap.engine.network import Network
from bootstrap.stacks import deploy
from bootstrap.stacks.catalog import choose_settings, name_configs, named, rendered
from bootstrap.stacks.envoy_command import configure
from bootstrap.stacks.envoy_config import render
from bootstrap.stacks.envoy_spec import Spec, SpecError, read_spec
from tests.lab.images.packaged_programs import ENVOY
from tests.unit.bootstrap.stacks.support.fake_docker import Docker, Manager

ORDERS = named("envoy-orders")
FULL = {
    "name": "orders",
    "host": "tasks.orders",
    "port": 8080,
    "listen": 81,
    "timeout_s": 90,
    "try_s": 2.5,
    "retry": {"attempts": 2, "first_s": 0.5, "most_s": 4},
    "ejection": {"errors": 3, "look_s": 2, "for_s": 10, "most_percent": 100},
    "breaker": {"connections": 1, "waiting": 2, "requests": 3, "retries": 4},
    "tracing": {"host": "zipkin", "percent": 10},
}


def config(spec: Spec) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render(spec))
    return found


def route(spec: Spec) -> dict[str, Any]:
    (listener,) = config(spec)["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    found: dict[str, Any] = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    return found


def test_what_ships_is_the_default_policy() -> None:
    shipped = resources.files("bootstrap").joinpath("stacks/envoy/envoy.json").read_text("utf-8")
    assert shipped == render(Spec())


def test_retries_wait_at_most_three_nine_and_twenty_one_seconds_at_another_task() -> None:
    policy = route(Spec())["retry_policy"]
    assert policy["num_retries"] == 3
    assert policy["retry_back_off"] == {"base_interval": "3s", "max_interval": "27s"}
    assert "previous_hosts" in policy["retry_host_predicate"][0]["name"]
    assert "retry_policy" not in route(read_spec('{"retry": {"attempts": 0}}'))


def test_each_part_of_a_spec_stands_in_the_configuration() -> None:
    spec = read_spec(json.dumps(FULL))
    function, spans = config(spec)["static_resources"]["clusters"]
    address = function["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert address["socket_address"] == {"address": "tasks.orders", "port_value": 8080}
    assert (
        function["outlier_detection"] | {"consecutive_5xx": 3, "base_ejection_time": "10s"}
        == (function["outlier_detection"])
    )
    (limits,) = function["circuit_breakers"]["thresholds"]
    kinds = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    assert [limits[kind] for kind in kinds] == [1, 2, 3, 4]
    assert spans["name"] == "spans"
    assert (route(spec)["timeout"], route(spec)["retry_policy"]["per_try_timeout"]) == ("90s", "2.5s")
    assert "tracing" in render(spec)
    assert "Zipkin" not in render(Spec())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", ["the spec is no JSON"]),
        ("[1]", ["the spec must be an object, not '[1]'"]),
        (
            '{"name": "A"}',
            ["name must be a service's name: a small letter, then letters, digits, '-', not 'A'"],
        ),
        (
            '{"port": "80", "retry": {"attempts": 1.5, "tries": 1}}',
            [
                "port must be a whole number from 1 to 65535, not '80'",
                "retry.attempts must be a whole number from 0 to 20, not '1.5'",
                "retry.tries is unknown; known are attempts, first_s, most_s",
            ],
        ),
        ('{"breaker": null}', ["breaker must be an object, not 'None'"]),
        ('{"port": true}', ["port must be a whole number from 1 to 65535, not 'True'"]),
        ('{"timeout_s": NaN}', ["timeout_s must be a number from 0.01 to 3600, not 'nan'"]),
        ('{"tracing": {"host": "a b"}}', ["tracing.host must be a host name, not 'a b'"]),
        (
            '{"retry": {"most_s": 1}, "timeout_s": 5}',
            [
                "retry.most_s must not be less than retry.first_s (3)",
                "try_s, one attempt, must not be more than timeout_s, all of them (5)",
            ],
        ),
    ],
)
def test_all_that_is_wrong_with_a_spec_is_said_one_line_each(given: str, said: list[str]) -> None:
    with pytest.raises(SpecError) as error:
        read_spec(given)
    assert list(error.value.lines) == said


def test_the_command_prints_the_configuration_or_one_line_for_each_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(FULL))
    bad.write_text('{"port": 0, "listen": 0}')
    assert main(["envoy", "render", str(good)]) == 0
    assert capsys.readouterr().out == render(read_spec(json.dumps(FULL)))
    assert main(["envoy", "render", str(bad)]) == 64
    assert capsys.readouterr().err.count("\n") == 2
    assert main(["envoy", "render", str(tmp_path / "none.json")]) == 64
    assert "cannot be read" in capsys.readouterr().err


def test_each_proxy_is_a_stack_and_a_service_of_its_own_name() -> None:
    settings = choose_settings(ORDERS, {}, {})
    names = name_configs(ORDERS, {"envoy.json": configure(ORDERS, None)})
    found = yaml.safe_load(rendered(ORDERS, settings, {}, names))
    assert set(found["services"]) == {"orders-proxy"}
    assert found["configs"]["envoy.json"]["name"].startswith("envoy-orders-envoy.json-")


def test_a_changed_policy_changes_the_name_of_the_config_alone(tmp_path: Path) -> None:
    engine = Manager()
    engine.found.append(Network("entry", ("10.32.128.0/20",)))
    spec = tmp_path / "spec.json"
    rolled = []
    for attempts in (2, 4):
        spec.write_text(json.dumps({**FULL, "retry": {"attempts": attempts}}))
        docker = Docker(engine)
        own = {"envoy.json": configure(ORDERS, spec)}
        deploy.deploy(engine, ORDERS, choose_settings(ORDERS, {}, {}), docker, own)
        rolled.append(docker.files["envoy-orders"])
    assert [len(one) for one in rolled] == [1, 1]
    assert set(rolled[0]) != set(rolled[1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy", "envoy"], "there is no stack 'envoy'"),
        (["deploy", "control", "--spec", "x.json"], "stack control takes no --spec; stacks envoy-NAME do"),
        (["deploy", "envoy-orders", "--spec", "/no/such"], "the spec /no/such cannot be read"),
    ],
)
def test_a_proxy_without_a_function_or_spec_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stack", *words]) == 64
    assert said in capsys.readouterr().err


def test_a_spec_of_another_function_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "spec.json"
    place.write_text('{"name": "bills"}')
    assert main(["stack", "deploy", "envoy-orders", "--spec", str(place)]) == 64
    assert "is the spec of bills, not of orders; nothing was changed" in capsys.readouterr().err


@pytest.mark.skipif(not ENVOY.path.exists(), reason="the lab has not fetched Envoy on this machine")
@pytest.mark.parametrize("given", ["{}", json.dumps(FULL), '{"retry": {"attempts": 0}}'])
def test_envoy_itself_takes_the_configuration(given: str, tmp_path: Path) -> None:
    place = tmp_path / "envoy.json"
    place.write_text(render(read_spec(given)))
    words = [str(ENVOY.path), "--mode", "validate", "-c", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
