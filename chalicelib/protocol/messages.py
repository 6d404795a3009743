"""What handlers and hosts say to each other: task names, arguments and results; codec.py has them as JSON.

Standard library only and Python 3.10 syntax: this module travels inside the agent too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from zlib import crc32

from chalicelib.protocol.inventory import Inventory
from chalicelib.protocol.network_order import NetworkOrder

INSTANCE = re.compile(r"i-[0-9a-f]{8,17}\Z")
MAX_LISTED_MANAGERS = 50  # more than Swarm is made for
SHORT = 8  # characters that tell node ids apart: two of 5,000 agree in one swarm of 200,000


class AgentTask(str, Enum):
    """What an agent can be asked to do."""

    INIT = "init"  # make the first manager's swarm and store its join tokens
    JOIN = "join"  # runs on the instances themselves: into the swarm, drained, labelled
    ACTIVATE = "activate"  # let joined nodes have tasks
    EVACUATE = "evacuate"
    GIVE_BACK = "give-back"  # let evacuated nodes that live on have tasks again
    LEAVE = "leave"
    PROMOTE = "promote"
    DEMOTE = "demote"
    ROTATE_TOKENS = "rotate-tokens"
    RECOVER = "recover"  # a new swarm from one manager's state, where the quorum is lost for good
    REBALANCE = "rebalance"  # spread opted-in services evenly again, with the fewest moves
    INSPECT = "inspect"
    INSTALL_PLUGIN = "install-plugin"  # these run on any host: the network plugin, once managers have formed
    VERIFY_PLUGIN = "verify-plugin"  # with all peers connected
    REMOVE_PEER = "remove-peer"  # of a host that is gone
    CREATE_NETWORK = "create-network"
    REMOVE_INGRESS = "remove-ingress"  # the routing mesh
    PREFLIGHT = "preflight"  # on the instance itself: whether it can be a node
    INSTALL = "install"  # on the instance itself: the engine that the cluster's description names


class Fate(str, Enum):
    """What became of one node."""

    FIT = "fit"  # the instance can be a node
    UNFIT = "unfit"  # it cannot; the detail says why, and what to do
    INSTALLED = "installed"  # the engine runs as it is described
    JOINED = "joined"  # the instance is a node of the swarm, drained and labelled
    ACTIVE = "active"  # the node may have tasks
    PROMOTED = "promoted"  # the node is a manager, and answers as one
    DEMOTED = "demoted"  # the node is a worker
    SAFE = "safe"  # every task was replaced before it was stopped
    DRAINED = "drained"  # the node is empty, but some tasks were stopped before they were replaced
    DOWN = "down"  # the node had died before the work began: Swarm itself replaces its tasks
    WARM = "warm"  # not joined: its Auto Scaling group keeps the instance in a warm pool
    ABSENT = "absent"  # no node of the swarm belongs to this instance
    ANOTHERS = "anothers"  # the node that its host says to be is labelled as another instance's
    REMOVED = "removed"  # the node is no longer listed in the swarm
    ALIVE = "alive"  # not removed: the node still answers
    KEPT = "kept"  # not removed: the managers' quorum would be at risk
    UNFINISHED = "unfinished"  # the time budget ended with tasks still on the node


DONE = frozenset(
    {
        *(Fate.FIT, Fate.INSTALLED),
        *(Fate.JOINED, Fate.ACTIVE, Fate.PROMOTED, Fate.DEMOTED),
        *(Fate.SAFE, Fate.DRAINED, Fate.DOWN, Fate.ABSENT, Fate.REMOVED),
    }
)


class Way(str, Enum):
    """How the tasks of one service left a node."""

    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"
    DRAIN = "drain"
    GLOBAL = "global"
    STAYED = "stayed"  # they have not left: Swarm does not stop a job's tasks


class Mode(str, Enum):
    """How a service is rebalanced."""

    SURGE = "surge"  # scale up by the moves, wait until those run, scale down: nothing else is touched
    ROLLING = "rolling"  # a forced update at the service's own pace: every task is restarted


class Balance(str, Enum):
    """What became of one service in a rebalance."""

    BALANCED = "balanced"  # as even as the rules allow: not touched
    PLANNED = "planned"  # it would be moved (a dry run)
    MOVED = "moved"  # it was moved, and is as wanted again
    FAILED = "failed"  # it was begun and could not be finished; the reason says how it was left
    LEFT = "left"  # it was not begun; the reason says why


class End(str, Enum):
    """What is known of the end of an instance whose node is evacuated."""

    ANNOUNCED = "announced"  # it ends: nothing may be left on it, and its vote goes before
    FOR_GOOD = "for-good"  # nobody says that it ends, but it stays out: gentle, and its vote goes too
    FOR_A_WHILE = "for-a-while"  # it comes back: gentle, and no manager is made in its place
    NOT_SAID = ""  # no evacuation, or one by version 0.1: as announced, but no manager is made in its place


@dataclass(frozen=True)
class Target:
    """One EC2 instance: its id, private IPv4 address and, once known, its Swarm node id ("" before).

    ``version``: of the record that the order is from, which grows with each order; 0 for none.
    ``role`` (manager or worker), ``zone``, ``kind`` (instance type) and ``lifecycle`` are EC2's word, or ""
    where it is not known. ``labels``: as in NodeReport, of the node before.
    """

    instance: str
    address: str
    node: str = ""
    version: int = 0
    role: str = ""
    zone: str = ""
    kind: str = ""
    lifecycle: str = ""
    labels: str = ""
    end: End = End.NOT_SAID

    @property
    def is_gentle(self) -> bool:
        """Whether its evacuation stops nothing that cannot start elsewhere: no end is announced."""
        return self.end in (End.FOR_GOOD, End.FOR_A_WHILE)

    @property
    def is_lasting(self) -> bool:
        """Whether it does not come back, so that the managers' quorum must not hang on it."""
        return self.end in (End.ANNOUNCED, End.FOR_GOOD)


@dataclass(frozen=True)
class Rebalance:
    """What a rebalance may do.

    ``services`` are names or ids, () all that opted in by label. ``mode`` is a Mode's value, "" the
    service's own. ``max_moves`` (0: any number) bounds the moves of the whole run. ``settle`` is for how many
    seconds no node may have joined before it begins, ``cooldown`` how many must have gone by since the last
    one ended; 0 for at once.
    """

    services: tuple[str, ...] = ()
    mode: str = ""
    dry_run: bool = False
    max_moves: int = 0
    settle: float = 0.0
    cooldown: float = 0.0


@dataclass(frozen=True)
class Arguments:
    """What a task works on. ``deadline`` is in seconds since the epoch; 0 where the task has none.

    ``sent``: the sender's clock when it sent this, 0 where it is not told. So ``deadline - sent`` seconds are
    left, which the host counts on its own, whatever time it believes it is.
    ``managers`` are the addresses to join at, the best first; ``role`` is what the targets shall be
    ("manager", "worker"); ``labels`` are the node labels they shall have. Never a token: arguments travel in
    clear. ``inspection`` numbers those of the tick, each of another part of a swarm; 0 where a person asks.
    ``fresh``: the cluster ended before, so the join tokens that are stored are of a swarm that is gone.
    ``network`` is what tasks about networks are to do.
    ``description``: what the cluster shall be, as description_codec.py writes it; "" where it has none.
    """

    targets: tuple[Target, ...] = ()
    deadline: float = 0.0
    managers: tuple[str, ...] = ()
    role: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    rebalance: Rebalance = Rebalance()
    inspection: int = 0
    sent: float = 0.0
    fresh: bool = False
    network: NetworkOrder = field(default_factory=NetworkOrder)
    description: str = ""


@dataclass(frozen=True)
class NodeReport:
    """What became of one target; ``seconds`` runs from the start of the task.

    ``differs``: what the host says of itself, or where its node stands, is not what the record says; the
    detail says in what. ``labels``: those of the node that people have set, and its availability if that is
    not active, as a JSON object; "" where not known.
    """

    instance: str
    node: str
    fate: Fate
    detail: str = ""
    seconds: float = 0.0
    differs: bool = False
    labels: str = ""


@dataclass(frozen=True)
class ServiceReport:
    """How many tasks of one service left the nodes, which way, why that way, and in how many seconds."""

    service: str
    tasks: int
    way: Way
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class SpreadReport:
    """How one service stood, was to stand and stands now: tasks by host name, in that order.

    ``moves`` were planned, ``restarted`` tasks were started anew. ``warnings`` are for the service's owner.
    Hosts on which the service neither was nor is nor should be are left out.
    """

    service: str
    balance: Balance
    mode: Mode = Mode.SURGE
    moves: int = 0
    restarted: int = 0
    seconds: float = 0.0
    reason: str = ""
    warnings: tuple[str, ...] = ()
    before: dict[str, int] = field(default_factory=dict)
    plan: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """What a manager lists of its swarm, in an answer that is not too long for any swarm.

    ``nodes`` counts all; ``down`` are those that are down and carry an instance, as far as they fit in.
    ``ids`` are the beginnings of the ids of all nodes in this ``part`` of ``parts``, ``managers`` those of
    the managers, at most MAX_LISTED_MANAGERS.
    """

    nodes: int = 0
    down: tuple[Target, ...] = ()
    part: int = 0
    parts: int = 1
    ids: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()

    def names_manager(self, node: str) -> bool:
        """Whether the swarm has the node of this id as a manager."""
        return bool(node) and node[:SHORT] in self.managers

    def covers(self, node: str) -> bool:
        """Whether a node of this id would be in the part."""
        return crc32(node.encode()) % self.parts == self.part

    def lists(self, node: str) -> bool:
        """Whether the swarm has the node of this id, which has to be in the part."""
        return node[:SHORT] in self.ids

    def misses(self, node: str) -> bool:
        """Whether the node of this id is in the part, and the swarm does not have it."""
        return self.covers(node) and not self.lists(node)


@dataclass(frozen=True)
class Result:
    """The answer of one task. ``error`` is "" unless the task as a whole failed.

    ``left_out`` counts reports and rows that did not fit into the line; ``facts`` is what ``inspect`` saw.
    ``spreads`` and ``wait`` are a rebalance's: seconds after which it is to be tried again (0: it is over).
    One that failed is tried again only to end a surge that it had to leave.
    ``listing`` is what an inspection by the tick saw, ``inventory`` what there is of a description.
    """

    task: AgentTask
    ok: bool
    nodes: tuple[NodeReport, ...] = ()
    services: tuple[ServiceReport, ...] = ()
    error: str = ""
    left_out: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    spreads: tuple[SpreadReport, ...] = ()
    wait: float = 0.0
    listing: Listing | None = None
    inventory: Inventory | None = None

    @property
    def begun(self) -> bool:
        """Some service was moved, or was to be."""
        return any(row.balance in (Balance.MOVED, Balance.FAILED) for row in self.spreads)
