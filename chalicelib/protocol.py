"""What handlers and hosts say to each other: task names, arguments and results, as one line of JSON.

Standard library only and Python 3.10 syntax: this module travels inside the agent too.
A handler sends ``<task> <arguments JSON>``; the agent answers with one result line, the last of its stdout.
Run Command keeps the first 24,000 characters of stdout, so a result never grows past ``MAX_LINE``.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

MAX_LINE = 20_000
FAR = 1e11  # seconds since the epoch; more was meant as milliseconds
INSTANCE = re.compile(r"i-[0-9a-f]{8,17}\Z")
ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}\Z")
NODE = re.compile(r"[a-z0-9]{0,64}\Z")


class ProtocolError(ValueError):
    """A message that does not have the agreed shape; the text says which field is wrong."""


class Task(str, Enum):
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
    INSPECT = "inspect"


class Fate(str, Enum):
    """What became of one node."""

    JOINED = "joined"  # the instance is a node of the swarm, drained and labelled
    ACTIVE = "active"  # the node may have tasks
    PROMOTED = "promoted"  # the node is a manager, and answers as one
    DEMOTED = "demoted"  # the node is a worker
    SAFE = "safe"  # every task was replaced before it was stopped
    DRAINED = "drained"  # the node is empty, but some tasks were stopped before they were replaced
    DOWN = "down"  # the node had died before the work began: Swarm itself replaces its tasks
    ABSENT = "absent"  # no node of the swarm belongs to this instance
    REMOVED = "removed"  # the node is no longer listed in the swarm
    ALIVE = "alive"  # not removed: the node still answers
    KEPT = "kept"  # not removed: the managers' quorum would be at risk
    UNFINISHED = "unfinished"  # the time budget ended with tasks still on the node


DONE = frozenset(
    {
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


@dataclass(frozen=True)
class Subject:
    """One EC2 instance: its id, private IPv4 address and, once known, its Swarm node id ("" before)."""

    instance: str
    address: str
    node: str = ""


@dataclass(frozen=True)
class Arguments:
    """What a task works on. ``deadline`` is in seconds since the epoch; 0 where the task has none.

    ``managers`` are the addresses to join at, the best first; ``role`` is what the subjects shall be
    ("manager", "worker"); ``labels`` are the node labels they shall have. Never a token: arguments travel in
    clear.
    """

    subjects: tuple[Subject, ...] = ()
    deadline: float = 0.0
    managers: tuple[str, ...] = ()
    role: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeReport:
    """What became of one subject; ``seconds`` runs from the start of the task."""

    instance: str
    node: str
    fate: Fate
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class ServiceReport:
    """How many tasks of one service left the nodes, which way, why that way, and in how many seconds."""

    service: str
    tasks: int
    way: Way
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """The answer of one task. ``error`` is "" unless the task as a whole failed.

    ``left_out`` counts reports and rows that did not fit into the line; ``facts`` is what ``inspect`` saw.
    """

    task: Task
    ok: bool
    nodes: tuple[NodeReport, ...] = ()
    services: tuple[ServiceReport, ...] = ()
    error: str = ""
    left_out: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


def encode_arguments(arguments: Arguments) -> str:
    """Arguments as one line of JSON; what only some tasks have is left out where it is empty."""
    optional = {"managers", "role", "labels"}
    given = {name: value for name, value in asdict(arguments).items() if value or name not in optional}
    return json.dumps(given, separators=(",", ":"), sort_keys=True)


def decode_arguments(text: str) -> Arguments:
    """Arguments from JSON; raises ProtocolError naming the field that is wrong."""
    message = _object(text, "arguments")
    _known(message, {"subjects", "deadline", "managers", "role", "labels"}, "arguments")
    deadline = message.get("deadline", 0.0)
    if isinstance(deadline, bool) or not isinstance(deadline, (int, float)) or not 0 <= deadline < FAR:
        raise ProtocolError(f"deadline must be seconds since the epoch, not {deadline!r}")
    return Arguments(
        tuple(map(_subject, _list(message, "subjects"))),
        float(deadline),
        tuple(map(_address, _list(message, "managers"))),
        _role(message.get("role", "")),
        _labels(message.get("labels", {})),
    )


def encode_result(result: Result) -> str:
    """A result as one line of at most MAX_LINE characters.

    To fit, the last service reports are dropped, then the nodes' details and the error are cut, then the last
    rows of what ``inspect`` saw are dropped. The fate of a node is never left out.
    """
    while True:
        line = json.dumps(asdict(result), separators=(",", ":"), sort_keys=True)
        smaller = _smaller(result)
        if len(line) <= MAX_LINE or smaller == result:
            return line
        result = smaller


def _smaller(result: Result) -> Result:
    rows = result.facts.get("nodes") or []
    if result.services:
        keep = len(result.services) * 3 // 4
        left_out = result.left_out + len(result.services) - keep
        return replace(result, services=result.services[:keep], left_out=left_out)
    if longest := max(
        (len(text) for text in (result.error, *(node.detail for node in result.nodes))), default=0
    ):
        cut = tuple(replace(node, detail=node.detail[: longest * 3 // 4]) for node in result.nodes)
        return replace(result, nodes=cut, error=result.error[: longest * 3 // 4])
    keep = len(rows) * 3 // 4
    facts = {**result.facts, "nodes": rows[:keep]} if rows else result.facts
    return replace(result, facts=facts, left_out=result.left_out + len(rows) - keep)


def decode_result(stdout: str) -> Result:
    """The result on the last line of an agent's stdout; raises ProtocolError if there is none."""
    lines = stdout.strip().splitlines()
    if not lines:
        raise ProtocolError("the agent printed nothing")
    message = _object(lines[-1], "result")
    try:
        return Result(
            task=Task(message["task"]),
            ok=bool(message["ok"]),
            nodes=tuple(
                NodeReport(**{**row, "fate": Fate(row["fate"]), "detail": str(row.get("detail", ""))})
                for row in _list(message, "nodes")
            ),
            services=tuple(
                ServiceReport(**{**row, "way": Way(row["way"])}) for row in _list(message, "services")
            ),
            error=str(message.get("error", "")),
            left_out=int(message.get("left_out", 0)),
            facts=dict(message.get("facts", {})),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"the agent's result does not have the agreed shape: {error!r}") from error


def _subject(row: Any) -> Subject:
    if not isinstance(row, dict):
        raise ProtocolError(f"a subject must be an object, not {row!r}")
    _known(row, {"instance", "address", "node"}, "a subject")
    subject = Subject(str(row.get("instance", "")), str(row.get("address", "")), str(row.get("node", "")))
    if not INSTANCE.match(subject.instance):
        raise ProtocolError(
            f"instance must be an EC2 instance id (i-0123456789abcdef0), not {subject.instance!r}"
        )
    if not ADDRESS.match(subject.address):
        raise ProtocolError(f"address must be a private IPv4 address, not {subject.address!r}")
    if not NODE.match(subject.node):
        raise ProtocolError(f"node must be a Swarm node id, not {subject.node!r}")
    return subject


def _address(value: Any) -> str:
    if not isinstance(value, str) or not ADDRESS.match(value):
        raise ProtocolError(f"managers must be private IPv4 addresses, not {value!r}")
    return value


def _role(value: Any) -> str:
    if value not in ("", "manager", "worker"):
        raise ProtocolError(f"role must be manager or worker, not {value!r}")
    return str(value)


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ProtocolError(f"labels must be an object of strings, not {value!r}")
    return value


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise ProtocolError(f"{what} must be JSON: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"{what} must be a JSON object, not {type(message).__name__}")
    return message


def _list(message: dict[str, Any], field: str) -> list[Any]:
    rows = message.get(field, [])
    if not isinstance(rows, list):
        raise ProtocolError(f"{field} must be a list, not {rows!r}")
    return rows


def _known(message: dict[str, Any], fields: set[str], what: str) -> None:
    if unknown := sorted(set(message) - fields):
        raise ProtocolError(f"{what}: unknown field {unknown[0]!r}; known are {', '.join(sorted(fields))}")
