"""Who cannot use the lab at all is told so in one line, before anything else is tried."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from tests.lab.__main__ import cli
from tests.lab.machines.preflight import check_caller
from tests.lab.state import LabError

ROOT_LINE = "error: the lab needs root: it makes network namespaces and mounts; try sudo\n"


def test_another_system_than_linux_is_named() -> None:
    with pytest.raises(LabError, match=r"runs on Linux only: .* this is win32"):
        check_caller("win32")


@pytest.mark.parametrize("command", ["up", "down", "status", "records", "kill x"])
def test_without_root_every_command_says_in_one_line_that_it_needs_it(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    done = CliRunner().invoke(cli, command.split())
    assert (done.exit_code, done.stderr, done.stdout) == (1, ROOT_LINE, "")
