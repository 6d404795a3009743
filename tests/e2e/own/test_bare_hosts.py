"""Hosts without any engine get the one that is wanted, become a swarm, and are upgraded."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.support.labs import named
from tests.lab import lifecycle, state
from tests.lab.machines import bare_root, machine
from tests.lab.observe import node_life
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine
from tests.lab.swarm.agent import PLACE, install

pytestmark = pytest.mark.thorough
OLDER, NEWER = bare_root.SUITES
TIMEOUT_S = 900.0


@pytest.fixture(scope="module")
def lab(zipapp: Path) -> Iterator[Lab]:
    """Start a manager and two workers without an engine, with the agent on them and the app deployed."""
    lifecycle.down(named("bare-hosts"))
    try:
        lab = lifecycle.up(named("bare-hosts"), managers=1, workers=2, bare_root=True)
        install(lab, zipapp, *lab.hosts)
        yield lab
    finally:
        lifecycle.down(named("bare-hosts"))


def options(lab: Lab, suite: str) -> list[str]:
    """Name the engine of a suite and its source."""
    source = bare_root.source(lab, suite)
    words = ["--version", bare_root.version(suite), "--source", source["kind"]]
    return [
        *words,
        *(word for name in ("packages", "url", "key", "suite") for word in (f"--{name}", source[name])),
    ]


def run(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the agent on a host, as a person does."""
    argv = [*machine.enter(host), "python3", PLACE, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)


def checks(lab: Lab, host: Host) -> dict[str, str]:
    """Read what a preflight says of a host, by check."""
    done = run(host, "preflight", "--json", *options(lab, OLDER))
    return {one["name"]: one["verdict"] for one in json.loads(done.stdout)["checks"]}


def test_1_a_preflight_of_a_bare_host_names_the_engine_that_is_missing(lab: Lab) -> None:
    found = checks(lab, lab.hosts[0])
    assert found.pop("clock") in ("ok", "warn"), "the machine's own"
    assert {name for name, verdict in found.items() if verdict != "ok"} == {"engine"}
    assert "agent install" in run(lab.hosts[0], "preflight", *options(lab, OLDER)).stdout


def test_2_an_installation_that_is_killed_is_gone_on_with(lab: Lab) -> None:
    host = lab.hosts[0]
    argv = [*machine.enter(host), "python3", PLACE, "install", *options(lab, OLDER)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr
    for line in process.stderr:
        if line.startswith("install-packages"):
            break
    time.sleep(2)
    subprocess.run([*machine.enter(host), "pkill", "-KILL", "dpkg"], check=False)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = run(host, "install", *options(lab, OLDER))
    assert done.returncode == 0, done.stderr


def test_3_all_hosts_get_exactly_the_version_and_a_second_run_changes_nothing(lab: Lab) -> None:
    with ThreadPoolExecutor() as pool:
        first = list(pool.map(lambda host: run(host, "install", *options(lab, OLDER)), lab.hosts))
    assert [done.returncode for done in first] == [0, 0, 0], [done.stderr for done in first]
    wanted = bare_root.version(OLDER)
    for host in lab.hosts:
        assert engine.version(engine.connect(host)).startswith(f"{wanted}+")
        again = run(host, "install", *options(lab, OLDER))
        assert (again.returncode, again.stderr) == (0, "")
        assert again.stdout.endswith("with overlay2; nothing was changed\n")
    settings = json.loads(Path(f"/proc/{lab.hosts[0].pid}/root/etc/docker/daemon.json").read_text())
    assert settings["insecure-registries"] == [f"{lab.gateway}:5000"], "what was there stays"
    assert settings["log-opts"] == {"max-size": "10m", "max-file": "3"}


def test_4_the_product_makes_a_swarm_of_them(lab: Lab) -> None:
    manager = lab.hosts[0]
    node_life.tick_until(lab, lab.hosts, "joining", 60)
    assert "error" not in node_life.call(lab, "init", instance=manager.instance)
    node_life.tick_until(lab, lab.hosts, "in-service", 240)
    assert run(manager, "engine", "managers").stdout == f"{manager.address}\n"
    assert run(manager, "engine", "version").stdout.startswith(bare_root.version(OLDER))


def test_5_live_restore_and_a_downgrade_are_refused_in_one_line(lab: Lab) -> None:
    host = lab.hosts[-1]
    place = Path(f"/proc/{host.pid}/root/etc/docker/daemon.json")
    before = place.read_text()
    place.write_text(json.dumps({**json.loads(before), "live-restore": True}))
    try:
        done = run(host, "install", *options(lab, OLDER))
    finally:
        place.write_text(before)
    assert (done.returncode, done.stderr.count("\n")) == (69, 1)
    assert "daemon.json says live-restore: true, with which an engine joins no swarm" in done.stderr


def test_6_a_newer_version_upgrades_the_engine_and_the_node_stays(lab: Lab) -> None:
    host = lab.hosts[-1]
    before = node_life.node_of(lab, host)
    foreseen = run(host, "install", "--dry-run", *options(lab, NEWER))
    assert foreseen.stdout.startswith("set-source: "), foreseen.stderr
    done = run(host, "install", "--restart", *options(lab, NEWER))
    assert done.returncode == 0, done.stderr
    assert engine.version(engine.connect(host)).startswith(f"{bare_root.version(NEWER)}+")
    back = engine.wait_until(lambda: node_life.node_of(lab, host), "the node is listed")
    assert (back, bool(before)) == (back, True)
    engine.wait_until(lambda: (node_life.node_of(lab, host) or back).state == "ready", "the node is ready")
    refused = run(host, "install", *options(lab, OLDER))
    assert "is newer than the wanted" in refused.stderr
    held = subprocess.run(
        [*machine.enter(host), "apt-mark", "showhold"], capture_output=True, text=True, check=True
    )
    assert {"containerd", "docker-cli", "docker.io", "runc"} <= set(held.stdout.split())


def test_7_a_host_that_is_stopped_and_started_has_its_engine_again(lab: Lab) -> None:
    host = lab.hosts[-1]
    lifecycle.stop(lab.name, host.instance)
    lifecycle.start(lab.name, host.instance)
    started = state.load(lab.name).host(host.instance)
    engine.wait_until(lambda: engine.answers(started), "its engine answers")
