"""The agent's stacks on real hosts without a routing mesh: the entry layer under load, and logging."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from chalicelib.protocol.messages import AgentTask
from tests.e2e.support.labs import named, running
from tests.lab import state
from tests.lab.images import installed_programs, logging_images, packaged_programs, registry
from tests.lab.machines import machine, programs
from tests.lab.state import Host, Lab
from tests.lab.swarm import disturbances, engine, formation, services
from tests.lab.swarm.agent import ARCHIVE, Agent, install

pytestmark = pytest.mark.thorough
OPEN_SOCKET = (
    "rancher/socat-docker:latest"  # a stand-in for the socket proxy: it shows what that shows, and more
)
SHOP = "shop.example"


@dataclass
class Visitors:
    """Whoever asks the entry layer steadily, each host in turn; a refused connection is tried once more."""

    hosts: list[Host]
    name: str
    rate: float = 15
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    retries: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._ask_steadily, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _ask_steadily(self) -> None:
        number = 0
        while not self._over.wait(1 / self.rate):
            number += 1
            self._ask(number)

    def _ask(self, number: int) -> None:
        for attempt in range(len(self.hosts)):
            host = self.hosts[(number + attempt) % len(self.hosts)]
            try:
                said = ask(host, self.name)
            except requests.ConnectionError:
                self.retries += 1
                continue
            except requests.RequestException as error:
                self.failures.append(f"{time.time():.1f} {host.name}: {error}")
                return
            if said.ok:
                self.answers[said.text.split()[-1]] += 1
            else:
                self.failures.append(f"{time.time():.1f} {host.name}: {said.status_code} {said.text.strip()}")
            return
        self.failures.append(f"{time.time():.1f} no host of the entry layer takes connections")


def ask(host: Host, name: str) -> requests.Response:
    """Ask a host of the entry layer for the site of that name."""
    return requests.get(f"http://{host.address}/", headers={"Host": name}, timeout=15)


@pytest.fixture(scope="module")
def lab(zipapp: Path) -> Iterator[Lab]:
    """Three managers, which are on demand, and three workers; no ingress network; stack control."""
    for up in running(named("stacks"), bare=True):
        installed_programs.push_socat(up)
        packaged_programs.push(up, packaged_programs.TRAEFIK)
        install(up, zipapp)
        client = engine.manager(up)
        client.api.remove_network("ingress")
        for node in engine.nodes(client):
            label(up, node.id, "on-demand" if node.role == "manager" else "spot")
        deploy(up, "control", DOCKER_API_IMAGE=OPEN_SOCKET)
        deploy(up, "traefik", TRAEFIK_LOG="DEBUG")
        wait_whole(up)
        yield up


def label(lab: Lab, node: str, lifecycle: str) -> None:
    engine.change_node(
        lab, node, lambda spec: {"Labels": {**spec.get("Labels", {}), "swarmkeeper.lifecycle": lifecycle}}
    )


def managers(lab: Lab) -> list[Host]:
    return [host for host in state.load(lab.name).hosts if host.role == "manager" and host.pid]


def stack(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [*machine.enter(managers(lab)[0]), "python3", ARCHIVE, "stack", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=180)


def deploy(lab: Lab, name: str, *words: str, **settings: str) -> str:
    given = {"REGISTRY": registry.reference(lab, ""), **settings}
    done = stack(
        lab,
        "deploy",
        name,
        *words,
        *(word for key, value in given.items() for word in ("--set", f"{key}={value}")),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_whole(lab: Lab) -> None:
    """Wait until all tasks of all stacks run, as the agent itself sees it."""
    engine.wait_until(lambda: stack(lab, "status").returncode == 0, "all stacks are whole", pause=1)


def open_shop(lab: Lab, name: str, replicas: int, host: str) -> None:
    """Create a service that the entry layer shall find by itself."""
    labels = {
        "traefik.enable": "true",
        f"traefik.http.routers.{name}.rule": f"Host(`{host}`)",
        f"traefik.http.services.{name}.loadbalancer.server.port": "80",
    }
    settings: dict[str, Any] = {"constraints": ["node.role==worker"], "labels": labels, "networks": ["entry"]}
    services.create(lab, name, "web:1", replicas, **settings)


def wait_found(lab: Lab, host: str) -> None:
    for one in managers(lab):
        engine.wait_until(partial(is_routed, one, host), f"{one.name} routes {host}")


def is_routed(host: Host, name: str) -> bool:
    return ask(host, name).ok


def ids(lab: Lab, service: str) -> set[str]:
    return {task.id for task in engine.tasks(engine.manager(lab), service) if task.running}


def test_a_host_name_reaches_its_service_spread_over_all_tasks(lab: Lab) -> None:
    open_shop(lab, "shop", 3, SHOP)
    wait_found(lab, SHOP)
    assert ask(managers(lab)[0], "nobody.example").status_code == 404
    engine.wait_until(lambda: len(ids(lab, "shop")) == 3, "all three run")
    time.sleep(3)
    said = Counter(ask(host, SHOP).text.split()[-1] for host in managers(lab) for _ in range(12))
    sys.stderr.write(f"{('answers:', dict(said))}\n")
    assert len(said) == 3
    assert min(said.values()) >= 6


def test_status_shows_what_runs_and_again_nothing_changes(lab: Lab) -> None:
    before = ids(lab, "traefik_traefik")
    deploy(lab, "traefik", TRAEFIK_LOG="DEBUG")
    assert ids(lab, "traefik_traefik") == before
    done = stack(lab, "status")
    sys.stderr.write(f"{(done.stdout)}\n")
    assert done.returncode == 0
    assert "traefik_traefik" in done.stdout
    assert "3/3" in done.stdout


def test_an_evacuation_under_load_through_the_entry_layer_fails_no_request(lab: Lab) -> None:
    open_shop(lab, "single", 1, "single.example")
    wait_found(lab, "single.example")
    (task,) = [one for one in engine.tasks(engine.manager(lab), "single") if one.running]
    worker = next(host for host in lab.hosts if formation.node_of(lab, host).id == task.node)
    with Visitors(managers(lab), "single.example") as one, Visitors(managers(lab), SHOP) as all_three:
        time.sleep(3)
        said = Agent(managers(lab)[0], AgentTask.EVACUATE, worker).wait()
        time.sleep(5)
    sys.stderr.write(
        f"single: {dict(one.answers)}, {one.retries} retries; shop: {dict(all_three.answers)}, "
        f"{all_three.retries} retries\n"
    )
    assert said.result.ok, said.told
    assert one.failures == []
    assert all_three.failures == []
    assert len(one.answers) == 2
    disturbances.heal(lab, worker)
    wait_whole(lab)


@pytest.mark.xfail(
    reason="a Traefik that has just started answers 404 until it has read the swarm (docs/stacks.md)"
)
def test_a_restart_of_the_entry_layer_fails_no_one_who_tries_again(lab: Lab) -> None:
    shops, before = ids(lab, "shop"), ids(lab, "traefik_traefik")
    with Visitors(managers(lab), SHOP) as visitors:
        deploy(lab, "traefik", TRAEFIK_LOG="INFO")
        engine.wait_until(lambda: not before & ids(lab, "traefik_traefik"), "all were replaced")
        wait_whole(lab)
    sys.stderr.write(f"{('restart:', dict(visitors.answers), 'retries', visitors.retries)}\n")
    assert visitors.failures == []
    assert ids(lab, "shop") == shops


@pytest.fixture(scope="module")
def logging(lab: Lab) -> Lab:
    """Deploy store, Logstash and Logspout, with passwords."""
    logging_images.push_all(lab)
    for name in ("es", "log", "logspout"):
        deploy(lab, name)
    wait_whole(lab)
    return lab


def search(lab: Lab, line: str) -> list[dict[str, Any]]:
    """Search the store for a line, from inside: nothing else reaches it."""
    (task,) = [one for one in engine.tasks(engine.manager(lab), "es_elasticsearch") if one.running]
    host = next(host for host in managers(lab) if formation.node_of(lab, host).id == task.node)
    script = (
        "p=$(cat /run/secrets/elastic-password); "
        f"curl -s -u elastic:$p -H 'Content-Type: application/json' 'http://localhost:9200/logs-*/_search' "
        f'-d \'{{"query":{{"match_phrase":{{"line":"{line}"}}}}}}\''
    )
    said = engine.connect(host).containers.get(task.container).exec_run(["sh", "-c", script]).output
    hits: list[dict[str, Any]] = json.loads(said).get("hits", {}).get("hits", [])
    return [hit["_source"] for hit in hits]


def wait_for_line(lab: Lab, line: str) -> dict[str, Any]:
    found = engine.wait_until(lambda: search(lab, line), f"the store has {line!r}")
    return found[0]


def print_line(lab: Lab, host: Host, line: str) -> None:
    """Have a container on a host print a line; it lives long enough to be noticed."""
    image, script = registry.reference(lab, "client:1"), f"echo {line}; sleep 20"
    engine.connect(host, timeout=60).containers.run(image, ["sh", "-c", script], detach=True, remove=True)


def test_a_line_that_a_container_prints_on_any_node_is_found_in_the_store(logging: Lab) -> None:
    for host in logging.hosts:
        line = f"hello-from-{host.name}-{int(time.time())}"
        begun = time.time()
        print_line(logging, host, line)
        found = wait_for_line(logging, line)
        sys.stderr.write(f"{host.name}: found after {time.time() - begun:.1f} s\n")
        assert found["priority"] == "14"


# Open: Logstash alone rolls, but no line with the second pipeline's field came within 120 s.
@pytest.mark.xfail(reason="what the second pipeline adds is not found in the store")
def test_a_changed_pipeline_rolls_logstash_alone_and_is_used(logging: Lab) -> None:
    names = ("es_elasticsearch", "logspout_logspout", "log_logstash")
    before = {name: ids(logging, name) for name in names}
    shipped = (programs.PROJECT / "bootstrap/stacks/log/logstash.conf").read_text()
    text = "\n".join(line.partition(" # where")[0] for line in shipped.splitlines())
    changed = text.replace("filter {", 'filter {\n  mutate { add_field => { "pipeline" => "second" } }', 1)
    place = Path(f"/proc/{managers(logging)[0].pid}/root/opt/logstash.conf")
    place.write_text(changed)
    deploy(logging, "log", "--config", "logstash.conf=/opt/logstash.conf")
    engine.wait_until(lambda: ids(logging, "log_logstash") - before["log_logstash"], "Logstash has rolled")
    wait_whole(logging)
    line = f"after-the-change-{int(time.time())}"

    def printed() -> list[dict[str, Any]]:
        """Print it anew: what Logspout sends first goes into its connection to the task that has ended."""
        print_line(logging, logging.hosts[-1], line)
        return [row for row in search(logging, line) if row.get("pipeline") == "second"]

    assert engine.wait_until(printed, f"the store has {line!r} from the second pipeline", pause=2)
    assert {name: ids(logging, name) for name in names[:2]} == {name: before[name] for name in names[:2]}


def test_nobody_reads_the_store_without_a_password_or_from_outside(logging: Lab) -> None:
    said = stack(logging, "status", "es")
    assert said.returncode == 0, said.stdout
    for host in managers(logging):
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://{host.address}:9200/", timeout=3)
    client = engine.connect(logging.hosts[-1], timeout=60)
    ask_ = "curl -s -o /dev/null -w '%{http_code}' http://elasticsearch:9200/logs-*/_search"
    image = registry.reference(logging, logging_images.STORE.image.name + ":8.19.21")
    assert client.containers.run(image, ["sh", "-c", ask_], network="elk_net", remove=True) == b"401"


# Envoy in front of a function that fails on demand: its waits are short, the rest is as it ships.
QUICK = {"retry": {"attempts": 3, "first_s": 0.01, "most_s": 0.1}, "tracing": {"host": "zipkin"}}
FAILING, CALLS, CHAINS = 0.01, 5, 400
PROXY = "envoy-orders_orders-proxy"


@pytest.fixture(scope="module")
def proxy(lab: Lab) -> Lab:
    """Create three tasks of a function that fails in 1 % of calls, a proxy before it, and a Zipkin."""
    logging_images.push_function(lab)
    packaged_programs.push(lab, packaged_programs.ENVOY)
    image = "function:1"
    services.create(lab, "zipkin", image, 1, networks=["entry"])
    services.create(lab, "orders", image, 3, networks=["entry"], env=[f"FAIL={FAILING}"])
    put_policy(lab, **QUICK)
    engine.wait_until(lambda: len(ids(lab, "orders")) == 3, "the function runs")
    return lab


def put_policy(lab: Lab, **policy: Any) -> None:
    """Deploy the proxy with a policy, and wait until no task has another one."""
    place = Path(f"/proc/{managers(lab)[0].pid}/root/opt/orders.json")
    place.write_text(json.dumps({"name": "orders", **policy}))
    deploy(lab, "envoy-orders", "--spec", "/opt/orders.json", ENVOY_REPLICAS="1")
    name = next(one for one in engine.services(engine.manager(lab)) if one.name == PROXY)
    wanted = name.spec["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigName"]

    def is_rolled() -> bool:
        rows = engine.manager(lab).api.tasks({"service": PROXY, "desired-state": "running"})
        return [
            (row["Status"]["State"], row["Spec"]["ContainerSpec"]["Configs"][0]["ConfigName"]) for row in rows
        ] == [("running", wanted)]

    engine.wait_until(is_rolled, "the proxy has its policy")
    time.sleep(2)  # the old one's address is out of DNS, and the new one knows the function's tasks


def run_in(lab: Lab, service: str, *words: str) -> str:
    """Run a program in the first task of a service; answers what it says."""
    task = next(one for one in engine.tasks(engine.manager(lab), service) if one.running)
    host = next(host for host in lab.hosts if host.pid and formation.node_of(lab, host).id == task.node)
    container = engine.connect(host, timeout=120).containers.get(task.container)
    return str(container.exec_run(list(words), stderr=False).output, "utf-8")


def function(lab: Lab, *words: str) -> Any:
    return json.loads(run_in(lab, "zipkin", "python", "/function.py", *words))


def stats(lab: Lab) -> dict[str, int]:
    text = run_in(lab, PROXY, "wget", "-q", "-O", "-", "http://127.0.0.1:9901/stats?usedonly")
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name.strip(): int(value) for name, _, value in pairs if value.strip().isdigit()}


# Open: of the chains 0.955 were whole without the proxy and all through it, but not all spans came.
@pytest.mark.xfail(reason="fewer spans than calls came to the stand-in within 120 s")
def test_retries_make_a_chain_of_calls_as_good_as_one_with_a_span_for_each(proxy: Lab) -> None:
    direct = function(proxy, "chains", "orders/", str(CALLS), str(CHAINS))
    before = function(proxy, "get", "localhost/spans")
    through = function(proxy, "chains", "orders-proxy/", str(CALLS), str(CHAINS))
    shares = [said["whole"] / said["of"] for said in (direct, through)]
    sys.stderr.write(
        f"chains of {CALLS}: computed {0.99**CALLS:.4f}, direct {shares[0]}, proxy {shares[1]}\n"
    )
    assert 0.90 <= shares[0] <= 0.985
    assert shares[1] == 1
    calls = CALLS * CHAINS
    found = engine.wait_until(
        lambda: (n := function(proxy, "get", "localhost/spans") - before) >= calls and n, "all spans came"
    )
    assert found == calls
    sys.stderr.write(f"retries {stats(proxy)['cluster.function.upstream_rq_retry']}, spans {found}\n")


def test_a_task_that_fails_is_ejected_and_asked_nothing(proxy: Lab) -> None:
    run_in(proxy, "orders", "python", "/function.py", "post", "localhost/fail?1")
    said = function(proxy, "chains", "orders-proxy/", "1", "200")
    seen = stats(proxy)
    sys.stderr.write(f"one of three broken: {said}, {_kept(seen, 'ejections')}\n")
    assert said["whole"] == said["of"]
    assert seen["cluster.function.outlier_detection.ejections_active"] == 1
    run_in(proxy, "orders", "python", "/function.py", "post", f"localhost/fail?{FAILING}")


def test_a_changed_policy_restarts_the_proxy_alone_and_its_breaker_opens(proxy: Lab) -> None:
    functions, proxies = ids(proxy, "orders"), ids(proxy, PROXY)
    put_policy(proxy, retry={"attempts": 0}, breaker={"connections": 2, "waiting": 1, "requests": 2})
    said = function(proxy, "at-once", "orders-proxy/slow", "12")
    seen = stats(proxy)
    sys.stderr.write(f"12 at once: {said}, {_kept(seen, 'overflow')}\n")
    assert not ids(proxy, PROXY) & proxies
    assert ids(proxy, "orders") == functions
    assert said["503"] > 0
    assert said["200"] > 0
    assert seen["cluster.function.upstream_rq_pending_overflow"] == said["503"]


def _kept(seen: dict[str, int], what: str) -> dict[str, int]:
    return {name.rpartition(".")[2]: value for name, value in seen.items() if what in name}
