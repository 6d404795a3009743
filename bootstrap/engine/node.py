"""Nodes as the managers list them, and how this host itself stands to a swarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# As engine labels they are the host's own word; as node labels the activation sets them, from the record.
INSTANCE_LABEL = "swarmkeeper.instance"  # the EC2 instance that a node is
ZONE_LABEL = "swarmkeeper.zone"  # its Availability Zone
TYPE_LABEL = "swarmkeeper.type"  # its instance type
LIFECYCLE_LABEL = "swarmkeeper.lifecycle"  # spot or on-demand
ROLE_LABEL = "swarmkeeper.role"  # what it shall be: manager or worker
CLUSTER_LABEL = "swarmkeeper.cluster"
GENTLE = "kept"  # the last word of that label, where no end of the instance is announced
EVACUATION_DEADLINE_LABEL = (
    "swarmkeeper.evacuate"  # node label: the second since the epoch at which the node is gone
)
AVAILABILITY_LABEL = "swarmkeeper.availability"  # node label: what its admin has set, and what we set instead
AVAILABILITIES = ("active", "pause", "drain")


@dataclass(frozen=True)
class Node:
    """One node, as listed by the managers."""

    id: str
    version: int
    spec: Mapping[str, Any]
    state: str
    address: str
    hostname: str
    engine_labels: Mapping[str, str]
    platform: tuple[str, str]  # (operating system, architecture)
    cpus: int  # in units of 1e-9 CPU
    memory: int  # in bytes
    reachability: str = ""  # of a manager: reachable, unreachable; "" for workers
    is_leader: bool = False
    generic: Mapping[str, int] = field(default_factory=dict)  # generic resources: kind -> how many
    plugins: frozenset[tuple[str, str]] | None = None  # (Volume, Network or Log, name); None: unknown

    @property
    def availability(self) -> str:
        return str(self.spec.get("Availability", "active"))

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}

    @property
    def wanted_availability(self) -> str:
        """What its admin has set. What we have set does not count; what he has changed since then does."""
        before, _, ours = self.labels.get(AVAILABILITY_LABEL, "").partition(" ")
        if before in AVAILABILITIES and ours:
            return before if self.availability == ours else self.availability
        is_new = not self.instance and INSTANCE_LABEL in self.engine_labels  # it was joined drained
        # Agents of version 0.1 made no note: what they evacuate was active.
        return "active" if is_new or EVACUATION_DEADLINE_LABEL in self.labels else self.availability

    def labels_for(self, availability: str) -> dict[str, str]:
        """Return its labels with a note of what its admin has set, for when we set another availability."""
        return {**self.labels, AVAILABILITY_LABEL: f"{self.wanted_availability} {availability}"}

    @property
    def role(self) -> str:
        return str(self.spec.get("Role", "worker"))

    @property
    def has_vote(self) -> bool:
        """It counts for the quorum; after force-new-cluster the lost managers are managers in name only."""
        return self.role == "manager" and bool(self.reachability)

    @property
    def instance(self) -> str:
        """The EC2 instance id that the activation has set, "" before; the engine's own label never counts."""
        return str(self.labels.get(INSTANCE_LABEL, ""))

    @property
    def evacuation_deadline(self) -> float | None:
        """When the node will be gone, in seconds since the epoch; None if it is not to be evacuated."""
        try:
            return float(self.labels[EVACUATION_DEADLINE_LABEL].split(" ")[0])
        except (KeyError, ValueError):
            return None

    @property
    def is_gentle(self) -> bool:
        """It is evacuated though nobody has announced its end: what cannot start elsewhere is not stopped."""
        return self.labels.get(EVACUATION_DEADLINE_LABEL, "").endswith(f" {GENTLE}")

    @property
    def is_evacuating(self) -> bool:
        """It has a deadline, and nobody has made it active since: the label alone may be a left-over."""
        return self.evacuation_deadline is not None and self.availability != "active"

    @property
    def is_orphan(self) -> bool:
        """Nobody owns it: a join that cannot end, for want of a quorum, leaves a node without a name."""
        return not (self.hostname or self.instance or self.reachability or self.state == "ready")

    @property
    def is_usable(self) -> bool:
        """It may be given tasks."""
        return self.state == "ready" and self.availability == "active"

    @property
    def is_down(self) -> bool:
        """Swarm has given it up. ``unknown`` is less: all are for up to 5 s after an election (measured)."""
        return self.state == "down"


@dataclass(frozen=True)
class Membership:
    """How a host stands to a swarm, as its own engine sees it.

    ``state`` is Swarm's own word: inactive, pending, active, error or locked. ``managers`` are addresses.
    ``is_autolocked``: its key on the disk is encrypted, so that it starts only for who has the unlock key.
    """

    state: str
    node: str = ""
    is_manager: bool = False
    managers: frozenset[str] = frozenset()
    error: str = ""
    has_raft_state: bool = False  # a manager's state is on its disk
    is_autolocked: bool = False
    engine_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_leaderless(self) -> bool:
        """A manager says that too few managers answer to agree on anything."""
        return "does not have a leader" in self.error
