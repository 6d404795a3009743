"""What people start by hand on a host: a table or JSON, one line where something is wrong."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootstrap.__main__ import main
from bootstrap.commands import engine as engine_command
from bootstrap.commands import preflight
from bootstrap.commands.options import add_wanted, read_wanted
from bootstrap.commands.preflight import table
from bootstrap.engine.client import Engine
from bootstrap.engine.node import Membership
from bootstrap.engine.node_event import NodeEvent
from bootstrap.errors import AgentError
from bootstrap.machine.checks import Check, Verdict
from bootstrap.machine.wanted import Wanted
from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.description import (
    Description,
    Driver,
    Packages,
    PackageSource,
    SourceKind,
    WantedEngine,
    WantedHost,
    WantedNetworking,
)
from chalicelib.protocol.description_codec import encode_description
from chalicelib.protocol.strict_json import ProtocolError
from tests.unit.bootstrap.machine.support.facts import BARE

NONE = ["--engine", "unix:///no/such.sock"]
MIRROR = PackageSource(SourceKind.MIRROR, Packages.DISTRIBUTION, "http://mirror", "/k.asc", "lab")


def wanted(*words: str) -> Wanted:
    parser = ArgumentParser()
    add_wanted(parser)
    return read_wanted(parser.parse_args(words))[0]


def test_options_say_what_is_wanted() -> None:
    assert wanted() == Wanted(WantedEngine("any"))
    own = PackageSource(SourceKind.DISTRIBUTION, Packages.DISTRIBUTION)
    assert wanted("--source", "distribution", "--version", "26.1.5") == Wanted(WantedEngine("26.1.5", own))
    mirror = ("--url", "http://mirror", "--key", "/k.asc", "--suite", "lab", "--packages", "distribution")
    assert wanted(*mirror, "--plugin") == Wanted(WantedEngine("any", MIRROR), has_plugin=True)


def test_options_go_before_the_description(tmp_path: Path) -> None:
    network = WantedNetworking(Driver.WEAVE, "x/weave:1")
    described = Description(
        "blue", WantedEngine("28.5.2", MIRROR), host=WantedHost(("a-1",)), network=network
    )
    place = tmp_path / "d.json"
    place.write_text(encode_description(described))
    assert wanted("--description", str(place)) == Wanted(described.engine, has_plugin=True)
    newer = wanted("--description", str(place), "--version", "29.1.0")
    assert (newer.engine.version, newer.engine.source) == ("29.1.0", MIRROR)


@pytest.mark.parametrize("words", [("--version", "28"), ("--url", "ftp://x"), ("--description", "/no/such")])
def test_a_wrong_option_is_one_line_and_nothing_is_done(words: tuple[str, ...]) -> None:
    with pytest.raises((AgentError, ProtocolError)):
        wanted(*words)
    assert main(["install", *NONE, *words]) in (64, 69)


def test_a_preflight_answers_in_json_and_as_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "read_machine", lambda *_: BARE)
    assert main(["preflight", *NONE, "--source", "distribution", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert {check["name"] for check in found["checks"]} >= {"os", "kernel", "engine", "port 2377/tcp"}
    monkeypatch.setattr(preflight, "read_machine", lambda *_: replace(BARE, cgroup=0))
    assert main(["preflight", *NONE, "--source", "distribution"]) == 1
    assert "any is wanted: agent install" in capsys.readouterr().out


def test_what_is_wrong_has_a_line_of_its_own_in_the_table() -> None:
    checks = (
        Check("os", Verdict.OK, "Debian"),
        Check("engine", Verdict.WARN, "none", "29 is wanted", "agent install"),
    )
    assert (
        table(checks) == "ok    os      Debian\nwarn  engine  none\n              29 is wanted: agent install"
    )


def test_the_task_of_the_same_name_is_told_by_its_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", '{"dance": 1}']) == 64
    assert decode_result(capsys.readouterr().out).error.startswith("arguments: unknown field 'dance'")


class Asked(Engine):
    """A manager's engine."""

    def __init__(self, state: str = "active") -> None:
        self.state = state
        self.is_over = False

    def info(self) -> dict[str, Any]:
        return {"ServerVersion": "28.5.2"}

    def membership(self) -> Membership:
        return Membership(self.state, managers=frozenset({"10.0.0.2", "10.0.0.1"}))

    def node_id(self) -> str:
        if self.is_over:
            raise AgentError("the engine is gone")
        return "n1"

    def node_events(self, quiet: float) -> Iterator[NodeEvent]:
        assert quiet > 0
        self.is_over = True
        return iter([NodeEvent("update", "n2", "two", {"state": ("down", "ready")})])


@pytest.mark.parametrize(
    ("as_json", "version", "managers"),
    [
        (False, "28.5.2\n", "10.0.0.1\n10.0.0.2\n"),
        (True, '{"version": "28.5.2"}\n', '["10.0.0.1", "10.0.0.2"]\n'),
    ],
)
def test_version_and_managers_are_printed(
    capsys: pytest.CaptureFixture[str], as_json: bool, version: str, managers: str
) -> None:
    assert engine_command.show_version(Asked(), as_json) == 0
    assert capsys.readouterr().out == version
    assert engine_command.list_managers(Asked(), as_json) == 0
    assert capsys.readouterr().out == managers


@pytest.mark.parametrize(
    ("as_json", "line"),
    [
        (False, "node two (n2) update: state down -> ready\n"),
        (
            True,
            '{"action": "update", "changes": {"state": ["down", "ready"]}, "name": "two", "node": "n2"}\n',
        ),
    ],
)
def test_events_are_printed_as_they_come(
    capsys: pytest.CaptureFixture[str], as_json: bool, line: str
) -> None:
    with pytest.raises(AgentError, match="the engine is gone"):
        engine_command.follow_events(Asked(), as_json)
    assert capsys.readouterr().out == line


def test_out_of_a_swarm_there_are_no_managers_to_list() -> None:
    with pytest.raises(AgentError, match="this host is in no swarm"):
        engine_command.list_managers(Asked("inactive"), as_json=False)


def test_an_engine_that_does_not_answer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "version", *NONE]) == 69
    assert capsys.readouterr().err.count("\n") == 1
