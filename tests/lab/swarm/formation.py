"""Forms the lab's swarm and waits for what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from docker import DockerClient
from docker.errors import NotFound

from tests.lab.machines import machine
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine
from tests.lab.swarm.engine import Node

PORT = 2377
JOIN_TIMEOUT_S = 120


def form(lab: Lab) -> None:
    """Make a swarm of all the lab's hosts: the first manager starts it, then managers join, then workers."""
    managers = [host for host in lab.hosts if host.role == "manager"]
    workers = [host for host in lab.hosts if host.role == "worker"]
    first, *others = managers
    client = engine.connect(first, timeout=JOIN_TIMEOUT_S)
    client.swarm.init(advertise_addr=first.address, listen_addr=f"0.0.0.0:{PORT}")
    _join_together(lab, others, first)
    mesh(managers)
    _join_together(lab, workers, first)
    mesh([*managers, *workers])
    wait_ready(lab, len(lab.hosts))


def join(lab: Lab, host: Host, via: Host | None = None) -> None:
    """Let a host join in its role. The token goes from engine to engine and is never shown.

    An engine that has not joined within 20 s says so as an error and goes on, so its state is what counts.
    """

    def joined() -> bool:
        client = engine.connect(host, timeout=JOIN_TIMEOUT_S)
        now = client.info()["Swarm"]["LocalNodeState"]
        if now == "inactive":
            _order_to_join(client, host, engine.connect(via) if via else engine.manager(lab))
        return bool(now == "active")

    engine.wait_until(joined, f"{host.name} joins the swarm", seconds=JOIN_TIMEOUT_S)


def wait_ready(lab: Lab, count: int, timeout: float = JOIN_TIMEOUT_S) -> list[Node]:
    """Wait until that many nodes are Ready and no manager is unreachable."""

    def ready() -> list[Node] | None:
        listed = engine.nodes(engine.manager(lab))
        good = [node for node in listed if node.state == "ready" and node.reachability != "unreachable"]
        return listed if len(good) >= count else None

    return engine.wait_until(ready, f"{count} nodes are Ready", seconds=timeout)


def mesh(hosts: Sequence[Host]) -> None:
    """Wait until the engines of all the hosts know one another.

    When several join at once, one misses another in the gossip now and then. Their tasks then cannot reach
    each other, and starting one hangs for 30 s, until the engines compare lists. Restarted, one does at once.
    """
    for again in (True, True, True, False):
        try:
            engine.wait_until(lambda: not _strangers(hosts), "all engines know one another", seconds=10)
        except LabError:
            for host in {_lesser(*pair) for pair in _strangers(hosts)} if again else ():
                machine.restart_engine(host)
        else:
            return
    pairs = ", ".join(f"{one.name} not {other.name}" for one, other in _strangers(hosts))
    raise LabError(f"the swarm's engines do not find one another: {pairs or 'only after too long'}")


def node_of(lab: Lab, host: Host) -> Node:
    """Find the node that runs on a host; LabError where the swarm lists none."""
    for node in engine.nodes(engine.manager(lab)):
        if node.instance == host.instance:
            return node
    raise LabError(f"host {host.name} is not in the swarm")


def _order_to_join(client: DockerClient, host: Host, guide: DockerClient) -> None:
    leader = next((node.address for node in engine.nodes(guide) if node.leader), "")
    if not leader:
        raise LabError("the managers have no leader at the moment")
    client.swarm.join(
        remote_addrs=[f"{leader}:{PORT}"],
        join_token=_token(guide, host.role),
        advertise_addr=host.address,
        listen_addr=f"0.0.0.0:{PORT}",
    )


def _join_together(lab: Lab, hosts: Sequence[Host], via: Host) -> None:
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(lambda host: join(lab, host, via), hosts))


def _strangers(hosts: Sequence[Host]) -> list[tuple[Host, Host]]:
    """Pairs of which the first's engine does not know the second's."""
    known = {host: _peers(host) for host in hosts}
    return [(one, other) for one in hosts for other in hosts if other.address not in known[one]]


def _lesser(one: Host, other: Host) -> Host:
    """Which of the two to start anew: rather not a manager, as that can cost an election."""
    return other if one.role == "manager" else one


def _peers(host: Host) -> set[str]:
    """List the addresses that the host's engine knows, its own included, by the ingress network."""
    try:
        found = engine.connect(host).api.inspect_network("ingress")
    except NotFound:
        return set()
    return {peer["IP"] for peer in found.get("Peers") or ()}


def _token(client: DockerClient, role: str) -> str:
    client.swarm.reload()
    return str(client.swarm.attrs["JoinTokens"]["Manager" if role == "manager" else "Worker"])
