"""Services that stand unevenly on the workers, and how they stand."""

from __future__ import annotations

import json

from tests.lab import state
from tests.lab.observe import node_life
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine, formation, services


def workers(lab: Lab) -> list[Host]:
    """List the hosts that are to be workers, in the order in which they came."""
    return [host for host in state.load(lab.name).hosts if host.role == "worker" and host.pid]


def count_tasks(lab: Lab, service: str) -> list[int]:
    """Count the running tasks of a service on each worker."""
    found = engine.spread(engine.tasks(engine.manager(lab), service)).get(service, {})
    return [found.get(formation.node_of(lab, host).id, 0) for host in workers(lab)]


def dump_spec(lab: Lab, service: str) -> str:
    """Dump a service's spec as JSON."""
    (row,) = engine.manager(lab).api.services({"name": service})
    return json.dumps(row["Spec"])


def set_availability(lab: Lab, host: Host, availability: str) -> None:
    """Do what ``docker node update --availability`` does."""
    engine.change_node(lab, formation.node_of(lab, host).id, lambda _: {"Availability": availability})


def empty_last_worker(lab: Lab) -> None:
    """Empty the last worker, as if it had just joined: drained by hand, then active again."""
    last = workers(lab)[-1]
    set_availability(lab, last, "drain")
    engine.wait_until(lambda: node_life.tasks_on(lab, last) == 0, f"{last.name} is empty")
    services.wait_running(lab)
    set_availability(lab, last, "active")


def scale(lab: Lab, service: str, replicas: int) -> bool:
    """Send what ``docker service scale`` sends; the SDK's own scale changes more of the spec."""
    api = engine.manager(lab).api
    (row,) = api.services({"name": service})
    row["Spec"]["Mode"]["Replicated"]["Replicas"] = replicas
    url = api._url("/services/{0}/update", row["ID"])  # noqa: SLF001
    api._post_json(url, data=row["Spec"], params={"version": row["Version"]["Index"]})  # noqa: SLF001
    return True
