"""The network plugin on real hosts: installed, verified, mended; networks through it; a peer that is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.support.labs import named
from tests.lab import lifecycle
from tests.lab.images import registry
from tests.lab.machines import machine, programs
from tests.lab.netplugin import making
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import agent, engine, formation

pytestmark = pytest.mark.thorough
WAIT_S = 150


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three managers and a worker with the agent; the first host got the plugin before there was a swarm."""
    name = named("netplugin")
    lifecycle.down(name)
    try:
        lab = lifecycle.up(name, managers=3, workers=1, bare=True, unjoined=True)
        agent.install(lab, tmp_path_factory.mktemp("agent") / "agent.pyz", *lab.hosts)
        for host in lab.hosts:
            making.prepare(host)
        plugin = making.push(lab, lab.hosts[0])
        docker(lab.hosts[0], "plugin", "install", "--grant-all-permissions", plugin)
        formation.form(lab)
        yield lab
    finally:
        lifecycle.down(name)


def command(host: Host, *words: str, status: int = 0) -> str:
    """Run a command of the agent on a host; answers what it printed, also on stderr."""
    done = subprocess.run(
        [*machine.enter(host), "python3", agent.PLACE, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    said = done.stdout + done.stderr
    sys.stderr.write(f"{host.name}: {' '.join(words)}: exit {done.returncode}\n{said}")
    assert done.returncode == status, said
    return said


def docker(host: Host, *words: str) -> str:
    """Run docker on a host; answers what it printed, LabError where it fails."""
    said = programs.run([*machine.enter(host), "docker", *words])
    sys.stderr.write(f"{host.name}: docker {' '.join(words)}\n{said}")
    return said.strip()


def whole(peers: int) -> str:
    """Say what is printed where that many peers are connected."""
    return f"done: {peers} peers, {peers - 1} connections established"


def managers(lab: Lab) -> list[str]:
    found = [host.address for host in lab.hosts if host.role == "manager"]
    return [word for address in found for word in ("--manager", address)]


def test_a_plugin_installed_before_the_managers_formed_is_mended_by_verify(lab: Lab) -> None:
    first, plugin = lab.hosts[0], making.reference(lab)
    for host in lab.hosts[1:]:  # a router that is whole has all its peers
        assert "install: it is not installed" in command(
            host, "network-plugin", "install", plugin, *managers(lab)
        )
    said = command(first, "network-plugin", "verify", plugin, "--peers", str(len(lab.hosts)), *managers(lab))
    assert "remove: its router was started without the managers' addresses (Targets: 0)" in said
    assert said.index(": remove:") < said.index(": install:") < said.index(": done:")


def test_installed_on_all_hosts_every_peer_is_connected_and_again_nothing_changes(lab: Lab) -> None:
    plugin = making.reference(lab)
    for host in lab.hosts:
        said = command(host, "network-plugin", "verify", plugin, "--peers", str(len(lab.hosts)))
        assert whole(len(lab.hosts)) in said
        assert "install:" not in said
    assert "dry" not in command(lab.hosts[-1], "network-plugin", "install", plugin, "--dry-run")


def test_a_wrong_range_is_refused_before_the_engine_is_asked(lab: Lab) -> None:
    first, plugin = lab.hosts[0], making.reference(lab)
    words = ("network", "create", "bad", "--driver", plugin, "--subnet")
    assert "must lie inside 10.32.0.0/12" in command(first, *words, "10.0.0.0/24", status=69)
    assert "bad" not in docker(first, "network", "ls", "--format", "{{.Name}}").split()


def test_containers_on_two_hosts_reach_one_another_through_it(lab: Lab) -> None:
    first, worker, plugin = lab.hosts[0], lab.hosts[-1], making.reference(lab)
    words = (
        "network",
        "create",
        "web",
        "--driver",
        plugin,
        "--subnet",
        "10.32.0.0/24",
        "--gateway",
        "10.32.0.1",
    )
    for _ in range(2):
        assert f"done: it has driver {plugin} and range 10.32.0.0/24" in command(first, *words)
    overlap = command(first, *words[:2], "other", *words[3:6], "10.32.0.0/25", status=69)
    assert "overlaps 10.32.0.0/24 of network web" in overlap
    image = registry.reference(lab, "web:1")
    docker(worker, "run", "-d", "--name", "server", "--network", "web", image)
    address = docker(
        worker, "inspect", "-f", '{{(index .NetworkSettings.Networks "web").IPAddress}}', "server"
    )
    assert address.startswith("10.32.0.")
    docker(first, "run", "-d", "--name", "client", "--network", "web", registry.reference(lab, "client:1"))

    def reached() -> bool:
        asked = ("exec", "client", "timeout", "2", "wget", "-qO-", f"http://{address}/")
        return bool(docker(first, *asked))

    engine.wait_until(reached, "the client reaches the server on the other host", seconds=30)


def test_a_plugin_in_use_is_not_taken_away(lab: Lab) -> None:
    """The engine itself keeps it while a container is on one of its networks."""
    with pytest.raises(LabError, match="in use"):
        docker(lab.hosts[-1], "plugin", "disable", making.reference(lab))


def test_a_dead_workers_peer_goes_and_a_living_one_does_not(lab: Lab) -> None:
    first, second, worker = lab.hosts[0], lab.hosts[1], lab.hosts[-1]
    said = command(first, "network-plugin", "remove-peer", second.name, status=69)
    assert f"{second.name} is connected" in said
    lifecycle.kill(lab.name, worker.name)
    said = command(first, "network-plugin", "remove-peer", worker.name)
    assert f"IPs taken over from {worker.name}" in said
    assert whole(len(lab.hosts) - 1) in said
    for host in (first, second):
        command(host, "network-plugin", "verify", making.reference(lab), "--peers", str(len(lab.hosts) - 1))


def test_services_that_publish_through_the_mesh_are_named_and_keep_it(lab: Lab) -> None:
    first, image = lab.hosts[0], registry.reference(lab, "web:1")
    docker(first, "service", "create", "-d", "--name", "shop", "--publish", "8080:80", image)
    assert "ingress was left as it is: shop publish ports" in command(first, "ingress", "remove", status=69)
    assert "ingress" in docker(first, "network", "ls", "--format", "{{.Name}}").split()
