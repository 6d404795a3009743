"""Hosts become nodes with no human: from nothing, killed in between, lost and found; no token leaks."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.host.parameter_store import parameter_name
from chalicelib.protocol.messages import Fate
from tests.e2e.support import reset
from tests.e2e.support.labs import named
from tests.lab import lifecycle, state
from tests.lab.aws import lab_api, mailbox
from tests.lab.aws.event_samples import deliver, genuine_event
from tests.lab.machines import machine
from tests.lab.observe import node_life, token_leaks
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine
from tests.lab.swarm.agent import PLACE, install
from tests.lab.swarm.agent_joins import add_bare_host, engine_info, node_states, start_join


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Three managers and a worker, bare: init is called, by two people at once on two of the managers."""
    lifecycle.down(named("join"))
    lab = lifecycle.up(named("join"), managers=3, workers=1, unjoined=True)
    try:
        mailbox.subscribe(lab)
        node_life.tick_until(lab, lab.hosts, "joining", 60)
        with ThreadPoolExecutor() as pool:
            first = pool.submit(node_life.call, lab, "init", instance=lab.hosts[0].instance)
            second = pool.submit(node_life.call, lab, "init", instance=lab.hosts[1].instance)
            said = [first.result(), second.result()]
        refused = [answer["error"] for answer in said if "error" in answer]
        assert len(refused) == 1, said
        assert re.search("is under way|has its swarm since init on", refused[0])
        node_life.tick_until(lab, lab.hosts, "in-service", 240)
        yield lab
    finally:
        lifecycle.down(lab.name)


def test_from_bare_hosts_the_product_makes_a_swarm_of_three_managers(lab: Lab) -> None:
    first = {host.address for host in lab.hosts}
    nodes = [node for node in engine.nodes(engine.manager(lab)) if node.address in first]
    assert sorted(node.role for node in nodes) == ["manager", "manager", "manager", "worker"]
    assert {(node.state, node.availability) for node in nodes} == {("ready", "active")}
    addresses = {host.address for host in lab.hosts if host.role == "manager"}
    for host in lab.hosts:
        known = {row["Addr"].partition(":")[0] for row in engine_info(host)["Swarm"]["RemoteManagers"]}
        assert known == addresses


def test_a_bare_host_becomes_an_active_labelled_node(lab: Lab) -> None:
    host = lifecycle.add(lab.name)
    node_life.tick_until(lab, (host,), "in-service")
    node = node_life.node_of(lab, host)
    assert node is not None
    assert (node.role, node.availability, node.state) == ("worker", "active", "ready")
    expected = {
        "swarmkeeper.cluster": lab.name,
        "swarmkeeper.role": "worker",
        "swarmkeeper.instance": host.instance,
        "swarmkeeper.zone": host.zone,
        "swarmkeeper.type": host.instance_type,
        "swarmkeeper.lifecycle": "spot",
    }
    assert node.labels == expected
    assert set(engine_info(host)["Labels"]) == {f"{name}={value}" for name, value in expected.items()}
    settings = json.loads(Path(f"/proc/{host.pid}/root/etc/docker/daemon.json").read_text())
    assert settings["log-driver"] == "json-file", "what else was set in daemon.json stays"


@pytest.mark.parametrize("seconds", [0.6, 1.2, 1.8, 2.6])
def test_a_join_that_is_killed_is_finished_by_the_product(lab: Lab, zipapp: Path, seconds: float) -> None:
    host = add_bare_host(lab, zipapp)
    agent = start_join(lab, host)
    time.sleep(seconds)
    agent.kill()
    node_life.tick_until(lab, (host,), "in-service")
    assert node_states(lab, host) == ["ready"]


def test_joining_twice_says_that_it_is_a_member(lab: Lab, zipapp: Path) -> None:
    host = add_bare_host(lab, zipapp)
    first = start_join(lab, host).wait().result.nodes[0]
    again = start_join(lab, host).wait().result.nodes[0]
    assert (first.fate, again.fate, again.node) == (Fate.JOINED, Fate.JOINED, first.node)
    assert "member already" in again.detail
    node_life.tick_until(lab, (host,), "in-service")


def test_a_worker_may_read_its_own_token_and_no_other(lab: Lab, zipapp: Path) -> None:
    worker = next(host for host in lab.hosts if host.role == "worker")
    install(lab, zipapp, worker)
    assert _reads(worker, lab.cluster, "worker") == (0, "")
    status, said = _reads(worker, lab.cluster, "manager")
    assert status != 0
    assert "let this host's role do ssm:GetParameter on it" in said
    assert _stores(worker, lab.cluster) != 0


def test_what_a_fleet_launches_for_a_lost_worker_joins_and_the_lost_one_is_removed(lab: Lab) -> None:
    *_, lost = reset.stock(lab, 2)
    known = {host.instance for host in state.load(lab.name).hosts}
    state.change(lab.name, lambda now: replace(now, fleet=True))
    try:
        lifecycle.kill(lab.name, lost.name)
    finally:
        state.change(lab.name, lambda now: replace(now, fleet=False))
    new = tuple(host for host in state.load(lab.name).hosts if host.instance not in known)
    assert len(new) == 1
    node_life.tick_until(lab, new, "in-service", 180)
    node_life.tick_until(lab, (lost,), "gone", 180)
    assert node_states(lab, lost) == []


def test_auto_scaling_waits_until_a_host_has_joined_and_until_it_is_empty(lab: Lab) -> None:
    host = lifecycle.add(lab.name)
    for transition, wanted in (("launch", "in-service"), ("terminate", "evacuated")):
        held(lab, host, transition)
        node_life.tick_until(lab, (host,), wanted, 180)
        engine.wait_until(lambda: hooks(lab, host)[-1] == "CONTINUE", f"the {transition} goes on")
    assert hooks(lab, host) == ["CONTINUE", "CONTINUE"]


def held(lab: Lab, host: Host, transition: str) -> None:
    lab_api.ask(lab, "POST", "/_lab/hooks", {"host": host.name, "transition": transition})


def hooks(lab: Lab, host: Host) -> list[str]:
    rows = lab_api.ask(lab, "GET", "/_lab/hooks")
    return [row["result"] for row in rows if row["instance"] == host.instance]


def test_a_refused_token_is_not_shown_and_new_tokens_mend_it(lab: Lab, zipapp: Path) -> None:
    ssm, name = lab_api.connect(lab).client("ssm"), parameter_name(lab.name, "worker")
    good = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    stale = f"{good.rpartition('-')[0]}-{'0' * 25}"
    ssm.put_parameter(Name=name, Value=stale, Type="SecureString", Overwrite=True)
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 600})  # the product cannot reach it meanwhile
    host = add_bare_host(lab, zipapp)
    said = start_join(lab, host, notice=10).wait()
    assert not said.result.ok
    assert "A valid join token is necessary to join this cluster" in said.result.error
    assert "SWMTKN" not in said.told + said.result.error
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 1})
    assert "error" not in node_life.call(lab, "rotate_tokens")
    node_life.tick_until(lab, (host,), "in-service", 180)


def test_no_token_is_anywhere_but_in_parameter_store(lab: Lab) -> None:
    """The last test: it looks through all that the others have left."""
    deliver(lab, genuine_event("spot_fleet_error"))
    engine.wait_until(lambda: mailbox.letters(lab), "people are told of something")
    secrets = token_leaks.tokens(lab)
    found = token_leaks.search(lab, secrets)
    kinds = {one.kind for one in found if one.size}
    expected = {"journal.jsonl", "commands", "ministack.log", "disk", "memory"}
    assert kinds >= expected | {"item", "command", "handler", "letter", "function", "object", "node"}
    names = {one.name for one in found if one.kind == "disk"}
    for where in ("/var/cache/swarmkeeper/", "/var/log/docker.log", "/etc/docker/daemon.json"):
        assert any(where in name for name in names), where
    assert [one.name for one in found if one.leaks] == []
    ssm = lab_api.connect(lab).client("ssm")
    stored = [row for row in ssm.describe_parameters()["Parameters"] if lab.name in row["Name"]]
    assert [row["Type"] for row in stored] == ["SecureString"] * 2


def test_the_search_for_tokens_finds_one_where_it_is_put(lab: Lab) -> None:
    token = min(token_leaks.tokens(lab))
    host = state.load(lab.name).hosts[0]
    texts = (token, token.rpartition("-")[2], base64.b64encode(token.encode()).decode())
    planted = {Path(f"/proc/{host.pid}/root/var/log/agent-{row}.log"): text for row, text in enumerate(texts)}
    for path, text in planted.items():
        path.write_text(f"joining with {text}\n")
    found = [one.name for one in token_leaks.search(lab, {token}) if one.leaks]
    assert sorted(Path(name).name for name in found) == [path.name for path in planted]
    for path in planted:
        path.unlink()


def _reads(host: Host, cluster: str, role: str) -> tuple[int, str]:
    code = f"from bootstrap.host.host import Host; assert Host().token({cluster!r}, {role!r})"
    return _python(host, code)


def _stores(host: Host, cluster: str) -> int:
    code = f"from bootstrap.host.host import Host; Host().store_tokens({cluster!r}, dict(worker='x'))"
    return _python(host, code)[0]


def _python(host: Host, code: str) -> tuple[int, str]:
    words = ["python3", "-c", f"import sys; sys.path.insert(0, {PLACE!r}); {code}"]
    done = subprocess.run(
        [*machine.enter(host), *words], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stderr
