"""Which interpreter make takes, what Lambda runs, and what the lock files hold for both."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from chalice.config import Config

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools/choose-python"
# Python as far as the script asks: does it run, is it new enough, which version is it?
RUNS = 'case "$2" in *print*) echo {version};; *) exit {old}; esac'
HASHED = ["requirements.txt", "requirements-agent.txt", "requirements-dev.txt", "requirements-ministack.txt"]
PIN = re.compile(r"^([A-Za-z0-9.-]+)(?:\[.*\])?==(\S+)", re.MULTILINE)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Make a machine without any Python."""
    shell = shutil.which("sh")
    assert shell
    (tmp_path / "sh").symlink_to(shell)
    return tmp_path


def install(machine: Path, **versions: str) -> None:
    """Give it commands by name; a version of "" is a stand-in that does not run."""
    for name, version in versions.items():
        body = RUNS.format(version=version, old=int(version < "3.11")) if version else "exit 127"
        path = machine / name.replace("_", ".")
        path.write_text(f"#!{machine}/sh\n{body}\n")
        path.chmod(0o755)


def choose(machine: Path, *words: str) -> str:
    run = [str(machine / "sh"), str(SCRIPT), *words]
    return subprocess.run(
        run, env={"PATH": str(machine)}, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize(
    ("versions", "name", "why"),
    [
        ({"python3_11": "3.11.2", "python3_13": "3.13.5"}, "python3.13", "the newest that is tested"),
        ({"python3": "3.11.2", "python3_11": "3.11.2"}, "python3.11", "python3.13 is not here"),
        ({"python3_13": "", "python3_11": "3.11.7"}, "python3.11", "python3.13 is here and does not run"),
        ({"python3_14": "3.14.0", "python3_12": "3.12.3"}, "python3.12", "python3.13 is not here"),
        ({"python3": "3.14.0"}, "python3", "python3.13 is not here"),
        ({"python3": "3.10.9"}, "python3", "python3.13 is not here"),
        ({}, "python3", "which does not run"),
    ],
)
def test_make_takes_the_newest_tested_python_that_runs_and_says_why(
    machine: Path, versions: dict[str, str], name: str, why: str
) -> None:
    install(machine, **versions)
    assert choose(machine) == name
    said = choose(machine, name)
    assert said.startswith(f"python: {name} ({versions.get(name.replace('.', '_')) or 'which does not run'}")
    assert why in said
    assert "\n" not in said


def test_the_python_that_somebody_asks_for_is_taken_as_asked(machine: Path) -> None:
    install(machine, python3_13="3.13.5", python3_12="3.12.3")
    assert "python3.12 (3.12.3): as PYTHON says" in choose(machine, "python3.12")


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_lambda_runs_the_python_that_deploys_on_arm(stage: str) -> None:
    config = Config(stage, config_from_disk=json.loads((ROOT / ".chalice/config.json").read_text()))
    assert config.lambda_python_version == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert config.lambda_architecture == "arm64"


@pytest.mark.parametrize("name", HASHED)
def test_everything_that_is_installed_is_pinned_with_hashes(name: str) -> None:
    lines = re.sub(r"\\\n", "", (ROOT / name).read_text()).splitlines()
    pins = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert pins
    assert [line for line in pins if not (PIN.match(line) and "--hash=sha256:" in line)] == []


@pytest.mark.parametrize("name", ["requirements-dev", "requirements-ministack"])
def test_the_lock_file_is_that_of_what_is_asked_for(name: str) -> None:
    asked = dict(PIN.findall((ROOT / f"{name}.in").read_text()))
    locked = set(PIN.findall((ROOT / f"{name}.txt").read_text()))
    assert asked
    assert set(asked.items()) - locked == set(), "run: make lock"


def test_no_tool_brings_another_version_of_what_is_deployed() -> None:
    deployed = {pin for name in HASHED[:2] for pin in PIN.findall((ROOT / name).read_text())}
    tools = dict(PIN.findall((ROOT / "requirements-dev.txt").read_text()))
    assert [pin for pin in deployed if tools.get(pin[0], pin[1]) != pin[1]] == []
