"""What a lab consists of, kept in one JSON file so that every command of the lab sees the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from tests.lab.machines import locks

ROOT = Path("/var/lib/swarmkeeper-lab")  # on the machine's own disk, never on an overlay
# Where labs are, 16 in each: as in a default VPC, or where this machine itself is in one, elsewhere.
RANGES = (IPv4Network("172.31.0.0/16"), IPv4Network("10.231.0.0/16"))
LABS_PER_RANGE = 16


class LabError(Exception):
    """Something that a person can mend; the text is the whole message."""


@dataclass(frozen=True)
class Host:
    """One machine of the lab, which is one EC2 instance. ``pid`` is its process 1, 0 without power.

    ``profile`` is the IAM role of an instance that has not the cluster's for its role, such as a stranger's.
    """

    name: str
    role: str
    instance: str
    address: str
    zone: str
    instance_type: str = "c5.large"
    lifecycle: str = "spot"
    pid: int = 0
    state: str = "pending"
    launched: float = 0.0
    profile: str = ""

    @property
    def socket(self) -> str:
        """The engine's socket, as seen from the machine that the lab runs on."""
        return f"/proc/{self.pid}/root/run/docker.sock"


@dataclass(frozen=True)
class Lab:
    """One lab: its slot names its network, a /20, of which the gateway has the first address.

    ``unjoined``: the hosts were left bare, for the product to make a swarm of. ``fleet``: a fleet maintains
    the number of workers. ``engine``: which one the hosts run, by its name in machines/engines.py.
    ``ending``: it is being taken down, and gets no more hosts. ``bare_root``: the hosts have no engine.
    """

    name: str
    slot: int
    cluster: str
    hosts: tuple[Host, ...] = ()
    endpoint: str = ""
    processes: dict[str, int] = field(default_factory=dict)
    unjoined: bool = False
    fleet: bool = False
    engine: str = "machine"
    ending: bool = False
    bare_root: bool = False

    @property
    def subnet(self) -> IPv4Network:
        """The lab's network."""
        whole, part = RANGES[self.slot // LABS_PER_RANGE], self.slot % LABS_PER_RANGE
        return list(whole.subnets(new_prefix=20))[part]

    @property
    def gateway(self) -> str:
        """The machine's own address on the lab's bridge."""
        return str(self.subnet[1])

    @property
    def directory(self) -> Path:
        """Where everything of this lab lies."""
        return ROOT / self.name

    def host(self, name: str) -> Host:
        """Find the host of that name, instance id or address; LabError where there is none."""
        for host in self.hosts:
            if name in (host.name, host.instance, host.address):
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise LabError(f"no host {name!r} in lab {self.name!r}; it has: {known or 'none'}")

    def with_host(self, host: Host) -> Lab:
        """Add this host, or change it where it is known by its instance id."""
        others = tuple(h for h in self.hosts if h.instance != host.instance)
        return replace(self, hosts=tuple(sorted((*others, host), key=lambda h: h.launched)))


def load(name: str) -> Lab:
    """Load the lab of that name; LabError where none is up."""
    try:
        return _parse((ROOT / name / "state.json").read_text())
    except FileNotFoundError:
        raise LabError(f"no lab {name!r} is up; start it: python -m tests.lab up --name {name}") from None


def change(name: str, by: Callable[[Lab], Lab]) -> Lab:
    """Read, change and write a lab's state under a lock; answers the new state."""
    with locked():
        lab = by(load(name))
        _write(lab)
        return lab


def create(name: str, cluster: str, slots: Sequence[int], **shape: Any) -> Lab:
    """Reserve a name and the first free one of the slots; LabError where the name or all slots are taken.

    ``shape``: further fields of the lab.
    """
    with locked():
        labs = taken()
        if name in labs:
            raise LabError(f"lab {name!r} is up already; to end it: python -m tests.lab down --name {name}")
        free = [slot for slot in slots if slot not in labs.values()]
        if not free:
            raise LabError(
                f"{len(labs)} labs are up already; take one down: python -m tests.lab down --name NAME"
            )
        lab = Lab(name, free[0], cluster, **shape)
        lab.directory.mkdir(parents=True, exist_ok=True)
        _write(lab)
        return lab


def taken() -> dict[str, int]:
    """Map the labs that are up to their slots; to be asked while ``locked``."""
    # No more than this is read of other labs: they may be of another version.
    rows = [json.loads(path.read_text()) for path in ROOT.glob("*/state.json")]
    return {row["name"]: row["slot"] for row in rows}


def forget(name: str) -> None:
    """Delete everything that is kept of a lab."""
    with locked():
        shutil.rmtree(ROOT / name, ignore_errors=True)


def _write(lab: Lab) -> None:
    path = lab.directory / "state.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(lab), indent=1))
    new.replace(path)


def _known(kind: type[Host | Lab], row: dict[str, Any]) -> dict[str, Any]:
    """Leave out fields of another checkout's version: its labs can be taken down all the same."""
    return {name: value for name, value in row.items() if name in {one.name for one in fields(kind)}}


def _parse(text: str) -> Lab:
    row = json.loads(text)
    hosts = tuple(Host(**_known(Host, host)) for host in row["hosts"])
    return Lab(**{**_known(Lab, row), "hosts": hosts})


@contextmanager
def locked() -> Iterator[None]:
    """Nobody else reads and changes meanwhile what is kept of labs."""
    ROOT.mkdir(parents=True, exist_ok=True)
    with locks.held(ROOT / "lock"):
        yield
