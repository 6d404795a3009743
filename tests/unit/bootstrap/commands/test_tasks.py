"""Preflight and installation as agent tasks: by a description, for the instance that this host is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.clock import Clock
from bootstrap.commands.tasks import run_install, run_preflight, summary, wanted_of
from bootstrap.engine.client import Engine
from bootstrap.errors import AgentError
from bootstrap.host.instance_metadata import Identity, Metadata
from bootstrap.machine.checks import Check, Verdict
from chalicelib.protocol.codec import decode_arguments, decode_result, encode_arguments, encode_result
from chalicelib.protocol.description import Description, Driver, WantedEngine, WantedHost, WantedNetworking
from chalicelib.protocol.description_codec import encode_description
from chalicelib.protocol.messages import Arguments, Fate
from tests.unit.bootstrap.machine.support.facts import BARE
from tests.unit.bootstrap.support.fake_machine import FakeMachine

INSTANCE = "i-0123456789abcdef0"
DESCRIBED = Description("blue", WantedEngine("28.5.2"))
ARGUMENTS = Arguments(description=encode_description(DESCRIBED))
ENGINE = Engine("unix:///no/such.sock")


class Known(Metadata):
    """The metadata of one instance."""

    def __init__(self) -> None:
        pass

    def identity(self) -> Identity:
        return Identity(INSTANCE, "10.0.0.7", "us-east-1a", "c5.large", "spot")


def test_a_description_travels_in_the_arguments() -> None:
    assert decode_arguments(encode_arguments(ARGUMENTS)) == ARGUMENTS
    assert "description" not in encode_arguments(Arguments())


def test_an_installation_reports_what_runs_and_what_was_done() -> None:
    machine = FakeMachine()
    result = run_install(ENGINE, ARGUMENTS, Clock(), Known(), machine)
    assert decode_result(encode_result(result)) == result
    (report,) = result.nodes
    assert (report.instance, report.fate) == (INSTANCE, Fate.INSTALLED)
    assert result.facts["steps"][0] == "set-source"
    again = run_install(ENGINE, ARGUMENTS, Clock(), Known(), machine)
    assert (again.facts["steps"], again.nodes[0].detail.endswith("nothing was changed")) == ([], True)


def test_a_preflight_reports_each_check_and_changes_nothing() -> None:
    described = Description("blue", WantedEngine("28.5.2"), host=WantedHost(("plan9-4",)))
    arguments = Arguments(description=encode_description(described))
    result = run_preflight(ENGINE, arguments, Clock(), Known(), lambda *_: BARE)
    assert decode_result(encode_result(result)).facts == result.facts
    checks = {check["name"]: check["verdict"] for check in result.facts["checks"]}
    assert (checks["python"], checks["os"], checks["engine"]) == ("ok", "warn", "warn")
    assert (result.ok, result.nodes[0].fate) == (True, Fate.FIT)
    worse = run_preflight(ENGINE, arguments, Clock(), Known(), lambda *_: replace(BARE, cgroup=0))
    assert (worse.ok, worse.nodes[0].fate) == (False, Fate.UNFIT)
    assert worse.nodes[0].detail.startswith("fail cgroup: none (without control groups")


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "publish one, and name it in the cluster's settings"), ("{}", "engine is missing")],
)
def test_without_a_good_description_nothing_is_done(text: str, said: str) -> None:
    machine = FakeMachine()
    with pytest.raises(AgentError, match=said):
        run_install(ENGINE, Arguments(description=text), Clock(), Known(), machine)
    assert machine.steps == []


@pytest.mark.parametrize("driver", list(Driver))
def test_the_plugin_counts_where_the_networks_are_its(driver: Driver) -> None:
    described = Description("blue", WantedEngine("29.1.0"), network=WantedNetworking(driver, "x/weave:1"))
    assert wanted_of(described).has_plugin is (driver is Driver.WEAVE)


def test_the_worst_is_named_first() -> None:
    checks = (
        Check("disk", Verdict.WARN, "3 GB", "little", "more"),
        Check("os", Verdict.OK, "x"),
        Check("python", Verdict.FAIL, "3.9", "old", "newer"),
    )
    assert summary(checks) == "fail python: 3.9 (old): newer; warn disk: 3 GB (little): more"
    assert summary(checks[1:2]) == "all is well"
