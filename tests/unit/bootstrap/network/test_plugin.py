"""One run after the other: what is asked of the engine until the plugin works."""

from __future__ import annotations

import pytest

from bootstrap.engine.networking.plugin import Plugin, find_plugin, split_reference
from bootstrap.errors import AgentError
from bootstrap.network.plugin import ensure_plugin
from bootstrap.network.plugin_steps import WantedPlugin
from tests.unit.bootstrap.network.support.fake_host import MANAGERS, WEAVE, FakePlugin

WANTED = WantedPlugin(WEAVE, "10.32.0.0/12", peers=3, is_whole=True)
INSTALL = ["forget restart", f"pull {WEAVE} {{}}", f"enable {WEAVE}"]


def ensure(fake: FakePlugin, wanted: WantedPlugin = WANTED) -> None:
    ensure_plugin(fake.host(), wanted, fake.clock, fake.time + 120)


def test_a_bare_host_gets_it_and_again_nothing_changes() -> None:
    fake = FakePlugin()
    for _ in range(2):
        ensure(fake)
        assert fake.done == INSTALL


def test_one_installed_before_the_managers_formed_is_installed_again() -> None:
    fake = FakePlugin(managers=())
    fake.listed = [Plugin("id", WEAVE, is_enabled=True)]
    fake.managers = MANAGERS
    ensure(fake)
    assert fake.done == [f"disable {WEAVE}", f"remove {WEAVE}", *INSTALL]


def test_one_whose_start_failed_once_is_removed_and_installed_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = FakePlugin(fails=1)
    ensure(fake)
    assert fake.done == [*INSTALL, f"remove {WEAVE}", *INSTALL]
    assert capsys.readouterr().err.splitlines()[:3] == [
        f"network plugin {WEAVE}: install: it is not installed",
        "the engine refused to start it: dial unix weave.sock: no such file or directory; looking again",
        f"network plugin {WEAVE}: remove: it is listed and not enabled",
    ]


def test_one_that_never_starts_is_told_with_the_engines_words_and_what_was_left() -> None:
    fake = FakePlugin(fails=9)
    with pytest.raises(AgentError) as failure:
        ensure(fake)
    said = str(failure.value)
    assert "it is listed and not enabled, and installing it again did not help" in said
    assert "weave.sock: no such file or directory" in said
    assert said.endswith("it was left installed and not enabled")
    assert fake.done == [*INSTALL, f"remove {WEAVE}", *INSTALL]


def test_one_that_is_in_use_is_never_taken_away_by_force() -> None:
    fake = FakePlugin(in_use=True)
    fake.listed = [Plugin("id", WEAVE, is_enabled=True)]
    with pytest.raises(AgentError, match="it was left as it is: move the tasks off this host"):
        ensure(fake)
    assert fake.done == []


def test_a_host_whose_managers_never_form_is_told_whom_it_waits_for() -> None:
    fake = FakePlugin(managers=MANAGERS[:1])
    wanted = WantedPlugin(WEAVE, "10.32.0.0/12", MANAGERS)
    with pytest.raises(AgentError, match=r"have not formed: 10\.231\.77\.2, .* nothing is installed"):
        ensure(fake, wanted)
    assert fake.done == []


def test_another_range_is_given_before_the_first_start() -> None:
    fake = FakePlugin()
    with pytest.raises(AgentError, match=r"its range is 10\.32\.0\.0/12, not 10\.48\.0\.0/12"):
        ensure(fake, WantedPlugin(WEAVE, "10.48.0.0/12"))
    assert fake.done[1] == f"pull {WEAVE} {{'IPALLOC_RANGE': '10.48.0.0/12'}}"


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("weaveworks/net-plugin", ("weaveworks/net-plugin", "latest")),
        ("docker.io/weaveworks/net-plugin:2.1.3", ("weaveworks/net-plugin", "2.1.3")),
        ("mirror:5000/net-plugin", ("mirror:5000/net-plugin", "latest")),
        ("mirror:5000/net-plugin:2@sha256:ab", ("mirror:5000/net-plugin", "2")),
    ],
)
def test_references_are_completed_as_the_engine_does(reference: str, parts: tuple[str, str]) -> None:
    assert split_reference(reference) == parts
    plugin = Plugin("id", ":".join(parts), is_enabled=True)
    assert find_plugin(reference, [plugin]) == plugin
