"""What a storm is made of: a cluster of so many nodes, and which events come when. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from tests.lab.aws.deploy import STAGE
from tests.lab.aws.events import Event, interruption_warning
from tests.lab.endpoint.instances import Instance
from tests.lab.state import Host

CLUSTER = "storm"
MANAGERS = 3
WINDOW = 10.0  # seconds in which all events of a storm come
DUPLICATES = 0.1  # of the warnings come twice
FOREIGN = 0.2  # of all events are about instances of nobody's
AGE = 86_400.0  # seconds for which the hosts have run
_ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


@dataclass(frozen=True)
class Warned:
    """One interruption warning, ``after`` so many seconds of the storm."""

    after: float
    host: Host
    foreign: bool = False
    again: bool = False

    def event(self, now: float) -> Event:
        """As EventBridge delivers it at that moment; its time is cut to whole seconds, as EC2's are."""
        return interruption_warning(self.host, now)


def node_in_service(host: Host) -> Node:
    """Make the record of a host that has been in service ever since it was launched."""
    return Node(
        cluster=CLUSTER,
        instance=host.instance,
        role=Role(host.role),
        address=host.address,
        launched=host.launched,
        since=host.launched,
        state=NodeState.IN_SERVICE,
    )


def hosts(number: int, now: float, first: int = 0) -> tuple[Host, ...]:
    """So many hosts of one cluster, the managers first; ``first`` keeps other hosts' names apart."""
    return tuple(_host(index + first, now, manager=index < MANAGERS) for index in range(number))


def foreigners(number: int, now: float) -> tuple[Host, ...]:
    """Hosts that are no cluster's."""
    return tuple(_host(0x100000 + index, now, manager=False) for index in range(number))


def instances(own: Iterable[Host], others: Iterable[Host]) -> list[Instance]:
    """List what EC2 shows of both."""
    tagged = [Instance(host, _tags(host)) for host in own]
    return tagged + [Instance(host, {"Name": host.name}) for host in others]


def warnings(doomed: Iterable[Host], others: Iterable[Host], seed: int) -> tuple[Warned, ...]:
    """One warning for each doomed host, some of them twice, and foreign ones among them, in order of time."""
    rng = random.Random(seed)  # noqa: S311 - the same storm in every run
    own = [Warned(rng.uniform(0, WINDOW), host) for host in doomed]
    twice = [
        Warned(rng.uniform(one.after, WINDOW), one.host, again=True)
        for one in rng.sample(own, round(len(own) * DUPLICATES))
    ]
    alien = [
        Warned(rng.uniform(0, WINDOW), host, foreign=True)
        for host, _ in zip(others, range(foreign(len(own) + len(twice))), strict=False)
    ]
    return tuple(sorted((*own, *twice, *alien), key=lambda one: one.after))


def foreign(own: int) -> int:
    """How many foreign events make their share of all, beside so many of our own."""
    return round(own * FOREIGN / (1 - FOREIGN))


def victims(own: tuple[Host, ...], sizes: Iterable[int]) -> Mapping[int, tuple[Host, ...]]:
    """For each storm workers that no other storm takes."""
    workers: Iterator[Host] = (host for host in own if host.role == "worker")
    return {size: tuple(host for host, _ in zip(workers, range(size), strict=False)) for size in sizes}


def ids() -> Iterator[str]:
    """Names of invocations."""
    return (str(number) for number in count())


def _host(index: int, now: float, *, manager: bool) -> Host:
    third, fourth = divmod(index, 250)
    address = f"10.{third // 250 % 250}.{third % 250}.{fourth + 1}"
    return Host(
        name=f"ip-{address.replace('.', '-')}",
        role="manager" if manager else "worker",
        instance=f"i-{index:017x}",
        address=address,
        zone=_ZONES[index % len(_ZONES)],
        lifecycle="on-demand" if manager else "spot",
        state="running",
        launched=float(int(now - AGE)),  # EC2 shows it in milliseconds: a census must find it the same
    )


def _tags(host: Host) -> dict[str, str]:
    own = {"Name": host.name, "swarmkeeper:cluster": CLUSTER, "swarmkeeper:role": host.role}
    return own | {"swarmkeeper:stage": STAGE}
