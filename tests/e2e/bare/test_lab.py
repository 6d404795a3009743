"""The lab itself: its hosts are machines of their own, and nothing is left of it afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.support.labs import named, running
from tests.lab import lifecycle, state
from tests.lab.machines import cgroups, machine, network, programs
from tests.lab.observe import load, watch
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine, formation, services

pytestmark = pytest.mark.timeout(300)


def remains(lab: Lab) -> dict[str, list[str]]:
    """Find all on this machine that still belongs to the lab, by kind; empty lists when nothing does."""
    return {
        **in_slot(lab),
        "mounts": [line for line in _mounts() if f"{lab.directory}/" in line],
        "processes": ["some"] if programs.is_alive(lab.name) else [],
        "files": [str(path) for path in (lab.directory,) if path.exists()],
    }


def in_slot(lab: Lab) -> dict[str, list[str]]:
    """Find what is named after the lab's slot; nothing where another lab has the slot now."""
    name = network.bridge(lab)
    found = {
        "links": [p.name for p in Path("/sys/class/net").iterdir() if p.name == name or f"{name}v" in p.name],
        "namespaces": [row for row in programs.run(["ip", "netns", "list"]).split() if f"{name}-" in row],
        "their mounts": [line for line in _mounts() if f"/{name}-" in line],
        "groups": [str(path) for path in cgroups.tops(cgroups.parent(lab))],
        "rules": [
            rule for rule in programs.run(["iptables", "-w", "-S"]).splitlines() if f" {name} " in rule
        ],
    }
    with state.locked():  # looked up last: whoever took the slot meanwhile is seen by now
        others = {slot for name, slot in state.taken().items() if name != lab.name}
    return {} if lab.slot in others else found


def workers(lab: Lab) -> list[Host]:
    return [host for host in lab.hosts if host.role == "worker"]


def test_status_shows_every_host_with_its_node(bare: Lab) -> None:
    found = json.loads(programs.lab_command("status", "--name", bare.name, "--json").stdout)
    living = [host for host in found["hosts"] if host["power"]]
    assert [host["name"] for host in living] == [host.name for host in bare.hosts]
    assert sorted(host["role"] for host in living) == ["manager"] * 3 + ["worker"] * 3
    assert all(host["node_state"] == "ready" and host["node"] for host in living)
    assert (found["endpoint"], found["trouble"]) == ("", "")
    table = programs.lab_command("status", "--name", bare.name).stdout
    assert all(host.name in table and host.instance in table for host in bare.hosts)


def test_exec_runs_inside_the_host_and_passes_its_exit_status_on(bare: Lab) -> None:
    host = workers(bare)[0]
    done = programs.lab_command("exec", host.name, "--name", bare.name, "--", "sh", "-c", "hostname; exit 7")
    assert (done.stdout, done.returncode) == (f"{host.name}\n", 7)
    told = programs.lab_command("exec", host.name, "--name", bare.name, "--json", "--", "hostname")
    assert json.loads(told.stdout) == {"exit": 0, "stdout": f"{host.name}\n", "stderr": ""}


def test_docker_speaks_to_that_hosts_engine(bare: Lab) -> None:
    manager, *_ = bare.hosts
    for host in (manager, *workers(bare)[:2]):
        done = programs.lab_command(
            "docker", host.instance, "--name", bare.name, "--", "info", "-f", "{{.Name}} {{.Labels}}"
        )
        assert done.stdout.strip() == f"{host.name} [swarmkeeper.instance={host.instance}]"


def test_a_file_written_in_one_host_is_in_no_other(bare: Lab) -> None:
    one, other, _ = workers(bare)
    programs.run([*machine.enter(one), "sh", "-c", "echo mine > /opt/only-here"])
    assert programs.run([*machine.enter(one), "cat", "/opt/only-here"]) == "mine\n"
    assert (
        subprocess.run([*machine.enter(other), "test", "-e", "/opt/only-here"], check=False).returncode == 1
    )
    assert not Path("/opt/only-here").exists()


def test_an_unknown_host_or_lab_is_one_line_on_stderr(bare: Lab) -> None:
    nobody = programs.lab_command("kill", "nobody", "--name", bare.name)
    assert nobody.returncode == 1
    assert nobody.stderr.startswith(f"error: no host 'nobody' in lab '{bare.name}'; it has: ip-")
    assert nobody.stderr.count("\n") == 1
    missing = programs.lab_command("status", "--name", "nolab")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


def test_a_second_up_of_the_same_name_is_refused(bare: Lab) -> None:
    again = programs.lab_command("up", "--bare", "--name", bare.name)
    assert again.returncode == 1
    assert "is up already" in again.stderr
    assert all(machine.has_power(bare, host) for host in bare.hosts)


def test_an_added_host_has_an_engine_but_no_swarm(bare: Lab) -> None:
    host = lifecycle.add(bare.name)
    assert host.name not in {known.name for known in bare.hosts}
    assert engine.connect(host).info()["Swarm"]["LocalNodeState"] == "inactive"
    formation.join(state.load(bare.name), host)
    formation.wait_ready(bare, len(bare.hosts) + 1)
    assert formation.node_of(state.load(bare.name), host).instance == host.instance


def test_a_power_cut_is_seen_by_clients_and_managers_and_by_no_other_lab(bare: Lab, tmp_path: Path) -> None:
    for lab in running(named("cut"), managers=1, workers=2, bare=True):
        services.create_network(lab)
        services.create(lab, "single", "web:1", 1, constraints=["node.role==worker"])
        services.wait_running(lab)
        watching = watch.Watch(lab)
        asking = load.start_load(lab, ["single"], 20, tmp_path / "answers.jsonl")
        engine.wait_until(lambda: len(load.read(tmp_path / "answers.jsonl")) >= 20, "it has answered")
        task = next(one for one in engine.tasks(engine.manager(lab), "single") if one.running)
        doomed = next(host for host in lab.hosts if _node(lab, host) == task.node)

        dead = lifecycle.kill(lab.name, doomed.name)

        assert (dead.state, dead.pid, machine.has_power(lab, doomed)) == ("terminated", 0, False)
        _wait_for_state(lab, task.node, "down")
        services.wait_running(lab)
        answers, samples = asking.stop(), watching.stop()
        assert "load" not in state.load(lab.name).processes
        assert answers == load.read(tmp_path / "answers.jsonl")
        found = watch.verdict("single", samples, watching.started("single"))
        assert (found.wanted, found.fewest, found.dip, found.started) == (1, 0, 1, 1)
        assert found.seconds_without > 5
        assert (answers[0].ok, answers[0].who) == (True, f"single-{doomed.name}")
        assert sum(not one.ok for one in answers) > 20
        assert {node.state for node in engine.nodes(engine.manager(bare))} == {"ready"}
    assert not any(remains(lab).values())
    assert all(machine.has_power(bare, host) for host in bare.hosts)


def test_an_up_that_is_broken_off_leaves_nothing() -> None:
    name = named("broken")
    # Where a shell has started this test in the background, Ctrl-C is ignored, also by what the test starts.
    argv = ["env", "--default-signal=INT", sys.executable, "-m", "tests.lab", "up", "--bare"]
    starting = subprocess.Popen(
        [*argv, "--name", name], cwd=programs.PROJECT, stderr=subprocess.PIPE, text=True
    )
    try:
        engine.wait_until(lambda: programs.is_alive(name), "the first host starts")
        lab = state.load(name)
        starting.send_signal(signal.SIGINT)
        starting.communicate(timeout=120)
        assert starting.returncode == 1
        assert not any(remains(lab).values())
    finally:
        starting.kill()
        starting.communicate()
        lifecycle.down(name)


def test_hosts_are_added_and_ended_side_by_side_each_with_a_network_of_its_own() -> None:
    name = named("beside")
    for lab in running(name, managers=1, workers=0, bare=True):
        with ThreadPoolExecutor(max_workers=10) as pool:
            added = list(pool.map(lifecycle.add, [name] * 4))
            ends = [pool.submit(lifecycle.kill, lab.name, host.instance) for host in added[:2] for _ in "ab"]
            more = [pool.submit(lifecycle.add, lab.name) for _ in range(3)]
        assert [end.result().state for end in ends] == ["terminated"] * 4
        living = [*added[2:], *(one.result() for one in more)]
        assert len({host.address for host in (*added, *living)}) == 7
        assert all(engine.answers(host) and machine.has_power(lab, host) for host in living)
        assert {host for host in state.load(lab.name).hosts if host.pid} == {*lab.hosts, *living}
    assert not any(remains(lab).values())


def test_what_a_failed_step_left_of_a_host_is_cleared_by_the_next() -> None:
    for lab in running(named("failed"), managers=1, workers=0, bare=True):
        coming = lifecycle.new_host(lab, "worker")
        network.plug_in(lab, coming)
        (lab.directory / "hosts" / f"{coming.name}.part/root").mkdir(parents=True)
        host = lifecycle.add(lab.name)
        assert (host.address, engine.answers(host)) == (coming.address, True)
        lifecycle.kill(lab.name, host.name)
        network.plug_in(lab, host)  # as if the power cut had stopped before the end
        assert lifecycle.kill(lab.name, host.name).state == "terminated"
        assert not any(f"-{host.address.split('.')[3]}" in row for row in in_slot(lab)["namespaces"])
        with pytest.raises(LabError, match="is terminated: only a running one is stopped"):
            lifecycle.stop(lab.name, host.name)


def test_a_lab_that_is_taken_down_gets_no_more_hosts() -> None:
    name = named("ending")
    for lab in running(name, managers=1, workers=0, bare=True):
        with ThreadPoolExecutor(max_workers=4) as pool:
            added = [pool.submit(lifecycle.add, lab.name) for _ in range(2)]
            engine.wait_until(lambda: len(state.load(name).hosts) == 3, "both are recorded")
            assert lifecycle.down(lab.name)
        assert all(one.exception() is None or isinstance(one.exception(), LabError) for one in added)
        assert not any(remains(lab).values())


def test_what_a_crashed_run_left_is_cleaned_up_by_the_next() -> None:
    name = named("crashed")
    lab = lifecycle.up(name, 1, 0, bare=True)
    os.kill(lab.hosts[0].pid, signal.SIGKILL)
    for pid in lab.processes.values():
        os.kill(pid, signal.SIGKILL)
    engine.wait_until(lambda: not programs.is_alive(name), "everything of the lab is dead")
    for again in running(name, managers=1, workers=0, bare=True):
        assert engine.answers(again.hosts[0])
    assert not any(remains(lab).values())
    assert lifecycle.down(name) is False


def test_down_leaves_nothing() -> None:
    for lab in running(named("down"), managers=1, workers=0, bare=True):
        assert remains(lab)["namespaces"]
        assert programs.lab_command("down", "--name", lab.name).returncode == 0
        assert not any(remains(lab).values())
        with pytest.raises(LabError, match=f"no lab '{lab.name}' is up"):
            state.load(lab.name)


def _mounts() -> list[str]:
    return Path("/proc/self/mounts").read_text().splitlines()


def _node(lab: Lab, host: Host) -> str:
    return next((node.id for node in engine.nodes(engine.manager(lab)) if node.instance == host.instance), "")


def _wait_for_state(lab: Lab, node: str, wanted: str) -> None:
    def reached() -> bool:
        return any(one.id == node and one.state == wanted for one in engine.nodes(engine.manager(lab)))

    engine.wait_until(reached, f"node {node} is {wanted}")
