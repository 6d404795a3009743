"""The logging stacks: what is rendered of them, their passwords, and that each rolls alone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.stacks import deploy
from bootstrap.stacks.catalog import LOGGING, choose_settings, name_configs, named, rendered
from tests.unit.bootstrap.stacks.support.fake_docker import Docker, Manager

NAMES = ("es", "kb", "log", "logspout")
PASSWORDS = {"elastic-password", "kibana-password", "logstash-password"}


def files(name: str, **given: str) -> dict[str, str]:
    stack = named(name)
    return {file: text.decode() for file, text in stack.configs(choose_settings(stack, given, {})).items()}


def compose(name: str, **given: str) -> dict[str, Any]:
    stack = named(name)
    settings = choose_settings(stack, given, {})
    text = rendered(stack, settings, {}, name_configs(stack, stack.configs(settings)))
    assert "# where" not in text
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def service(name: str, **given: str) -> dict[str, Any]:
    (found,) = compose(name, **given)["services"].values()
    assert isinstance(found, dict)
    return found


def up(engine: Manager, name: str, own: dict[str, bytes] | None = None, **given: str) -> Docker:
    docker = Docker(engine)
    stack = named(name)
    deploy.deploy(engine, stack, choose_settings(stack, given, {}), docker, own)
    return docker


def manager() -> Manager:
    engine = Manager()
    engine.update_node(engine.nodes()[0], Labels={"swarmkeeper.lifecycle": "on-demand"})
    return engine


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("security", ["0", "1"])
def test_each_is_valid_and_alone_on_its_network(name: str, security: str) -> None:
    found = compose(name, **({"SECURITY": security} if name != "logspout" else {}))
    assert set(found["networks"]) == {LOGGING}
    assert len(found["services"]) == 1
    ports = service(name).get("ports", [])
    assert [port["published"] for port in ports] == ([5601] if name == "kb" else [])
    assert all(port["mode"] == "host" for port in ports)
    used = {one["source"] for one in service(name).get("secrets", [])}
    assert used == set(named(name).secrets)
    assert ("secrets" in found) == (security == "1" and name != "logspout")


def test_heaps_and_ports_are_those_of_the_contract() -> None:
    assert service("es")["environment"]["ES_JAVA_OPTS"] == "-Xms512m -Xmx512m"
    assert service("log")["environment"]["LS_JAVA_OPTS"] == "-Xms256m -Xmx256m"
    assert service("logspout")["command"] == ["syslog+tcp+udp://logstash:5000"]
    assert service("logspout")["deploy"]["mode"] == "global"
    assert files("log")["logstash.conf"].count("port => 5000") == 2
    assert service("es")["volumes"] == ["data:/usr/share/elasticsearch/data"]


def test_kibana_is_on_a_managers_port_or_behind_the_entry_layer() -> None:
    alone, behind = service("kb"), service("kb", KIBANA_HOST="logs.example")
    assert alone["deploy"]["placement"]["constraints"] == ["node.role==manager"]
    assert "labels" not in alone["deploy"]
    assert "ports" not in behind
    assert behind["networks"] == ["elk_net", "entry"]
    assert behind["deploy"]["labels"]["traefik.http.routers.kibana.rule"] == "Host(`logs.example`)"


def test_with_security_each_asks_with_a_user_of_its_own_and_without_with_none() -> None:
    assert 'user => "logs_writer"' in files("log")["logstash.conf"]
    assert "kibana_system" in files("kb")["kibana.yml"]
    assert yaml.safe_load(files("es")["elasticsearch.yml"])["xpack.security.enabled"] is True
    assert "user =>" not in files("log", SECURITY="0")["logstash.conf"]
    assert "kibana_system" not in files("kb", SECURITY="0")["kibana.yml"]
    assert yaml.safe_load(files("es", SECURITY="0")["elasticsearch.yml"])["xpack.security.enabled"] is False
    assert "command" not in service("log", SECURITY="0")


def test_kibana_6_has_the_store_under_its_older_name() -> None:
    assert "elasticsearch.url" in files("kb", ELASTIC_6="1")["kibana.yml"]
    assert "elasticsearch.hosts" not in files("kb", ELASTIC_6="1")["kibana.yml"]


@pytest.mark.parametrize("security", ["0", "1"])
def test_the_check_of_the_store_is_valid_shell(security: str, tmp_path: Path) -> None:
    script = tmp_path / "check.sh"
    script.write_text(files("es", SECURITY=security)["check.sh"])
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_passwords_are_made_once_and_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    engine = manager()
    up(engine, "log")
    up(engine, "es")
    assert set(engine.secrets) == PASSWORDS
    before = dict(engine.secrets)
    up(engine, "es")
    up(engine, "kb")
    assert engine.secrets == before
    assert len(set(before.values())) == len(PASSWORDS)
    out, err = capsys.readouterr()
    assert all(len(password) >= 32 and password.decode() not in out + err for password in before.values())


def test_without_security_there_are_no_passwords() -> None:
    engine = manager()
    up(engine, "es", SECURITY="0")
    assert engine.secrets == {}


def test_a_changed_pipeline_changes_one_config_of_one_stack() -> None:
    engine = manager()
    text = files("log")["logstash.conf"].encode()
    before = set(up(engine, "log").files["log"])
    after = set(up(engine, "log", {"logstash.conf": text + b"\n"}).files["log"])
    assert len(before & after) == 1
    assert all(name.startswith("log-logstash.conf-") for name in before ^ after)
