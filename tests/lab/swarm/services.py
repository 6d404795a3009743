"""The standard services on which demo, tests and bench look at what an interruption does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from docker.types import EndpointSpec, ServiceMode, UpdateConfig

from tests.lab.images import registry
from tests.lab.state import Lab
from tests.lab.swarm import engine

NETWORK = "app"
SECOND = 1_000_000_000
ANSWERING = ("web", "single")  # those that take requests and should never fail one
BALANCED = ("web",)  # those that are spread anew when a node joins
WANTED: Mapping[str, int | None] = {"web": 6, "single": 1, "agents": None, "pinned": 2, "checked": 2}
_ROLLING = UpdateConfig(parallelism=2, delay=SECOND, failure_action="pause", order="stop-first")


def deploy(lab: Lab, timeout: float = 120) -> None:
    """Create the network and the five services, and wait until all their tasks run."""
    create_network(lab)
    _label_workers(lab)
    create(lab, "web", "web:1", 6, update_config=_ROLLING, labels={"rebalance.on.node.create": "true"})
    create(lab, "single", "web:1", 1, constraints=["node.role==worker"])
    create(lab, "agents", "client:1", None)
    create(lab, "pinned", "client:1", 2, constraints=["node.labels.disk==ssd"])
    create(lab, "checked", "checked:1", 2)
    wait_running(lab, timeout=timeout)


def create_network(lab: Lab) -> None:
    """Create the overlay network of services and their clients, where it is missing."""
    client = engine.manager(lab)
    if not client.networks.list(names=[NETWORK], filters={"driver": "overlay"}):
        client.networks.create(NETWORK, driver="overlay", attachable=True)


def create(lab: Lab, name: str, image: str, replicas: int | None, **settings: Any) -> None:
    """Create one service on the network; ``replicas`` None makes it global, settings are the docker SDK's."""
    mode = ServiceMode("global") if replicas is None else ServiceMode("replicated", replicas)
    # The docker command line always sends a Placement, if an empty one; the SDK only with constraints.
    usual = {"constraints": [], "endpoint_spec": EndpointSpec(mode="dnsrr"), "networks": [NETWORK]}
    engine.manager(lab).services.create(
        registry.reference(lab, image),
        name=name,
        mode=mode,
        hostname="{{.Service.Name}}-{{.Node.Hostname}}",
        stop_grace_period=4 * SECOND,
        **{**usual, **settings},
    )


def change_spec(lab: Lab, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a service's spec in place and send it; the SDK's own update rebuilds it and loses some."""
    api = engine.manager(lab).api
    row = next(row for row in api.services({"name": name}) if row["Spec"]["Name"] == name)
    change(row["Spec"])
    url = api._url("/services/{0}/update", row["ID"])  # noqa: SLF001
    asked = {"version": row["Version"]["Index"], "registryAuthFrom": "spec"}
    api._post_json(url, data=row["Spec"], params=asked).raise_for_status()  # noqa: SLF001


def wait_running(lab: Lab, timeout: float = 120) -> None:
    """Wait until every service has the tasks that it asks for; global ones one on each active node."""

    def missing() -> dict[str, int]:
        client = engine.manager(lab)
        listed, counts = engine.nodes(client), engine.spread(engine.tasks(client))
        places = sum(node.state == "ready" and node.availability == "active" for node in listed)
        wanted = {s.name: places if s.wanted is None else s.wanted for s in engine.services(client)}
        return {name: n for name, n in wanted.items() if sum(counts.get(name, {}).values()) < n}

    engine.wait_until(lambda: not missing(), "all tasks of all services run", seconds=timeout)


def _label_workers(lab: Lab) -> None:
    """Two of the workers have the disk that `pinned` asks for."""
    workers = [node for node in engine.nodes(engine.manager(lab)) if node.role == "worker"]
    for node in workers[:2]:
        engine.change_node(lab, node.id, lambda spec: {"Labels": {**spec.get("Labels", {}), "disk": "ssd"}})
