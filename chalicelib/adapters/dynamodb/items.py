"""Records as DynamoDB items, and back.

Items (partition key ``cluster``, sort key ``item``); all names are those of version 0.1:
    (cluster, ``node#i-…``)      the record of an instance; in the local index ``open`` while it has ``due``
    (cluster, ``cluster``)       ``managers``
    (cluster, ``breaker#i-…``)   how a manager host has behaved
    (cluster, ``settings``)      how the cluster is to be treated, as far as people have set it
    (cluster, ``incident#…``)    what people have to know; with ``record`` it is a dead letter
    (cluster, ``errand#task``)   the last job of a task
    (cluster, ``lease``)         ``holder``, ``until``: who may send; ``calls``: rechecks requested by others
    (``i-…``, ``home``)          ``name``: which cluster owns the instance or fleet. Never changes, never
                                 ends: a hundred bytes are cheaper than a node taken for somebody else's
    (``*``, ``census``)          the last discovery: ``taken``, ``busy_until``, ``clusters``

Empty values are left out, so that ``due`` makes a sparse index.
"""

from __future__ import annotations

import logging
from dataclasses import MISSING, fields
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib.protocol import checks
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.incident import Incident
from chalicelib.state.instance import LifecycleAction, Role, Transition
from chalicelib.state.job import Job, JobStage
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node, SentCommand
from chalicelib.state.postponed import Postponed
from chalicelib.state.scheduled_change import ScheduledChange
from chalicelib.state.settings import Recommendations
from chalicelib.state.stored_names import STORED_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Item = dict[str, Any]
Value = TypeVar("Value")

ENUMS = {
    "role": Role,
    "state": NodeState,
    "transition": Transition,
    "recommendations": Recommendations,
    "task": AgentTask,
    "stage": JobStage,
}
PARTS: dict[str, type] = {
    "hooks": LifecycleAction,
    "notices": ScheduledChange,
    "earlier": SentCommand,
    "postponed": Postponed,
}
LOGGER = logging.getLogger("swarmkeeper")  # that of observability.py, which adapters do not know
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
EMPTY_VALUES = (None, "", (), False)
MAX_NAME_BYTES = 900  # of an incident, in its key
INTEGERS = frozenset({"version", "attempts"})


def key(cluster: str, item: str) -> Item:
    """Return the primary key of an item."""
    return {"cluster": {"S": cluster}, "item": {"S": item}}


def number(value: float) -> Item:
    """Return a number as an attribute. Floats are exact: DynamoDB keeps 38 digits."""
    return {"N": repr(value)}


def strings(values: Iterable[str]) -> Item:
    """Return a list of strings as an attribute; a string set could not be empty."""
    return {"L": [{"S": value} for value in values]}


def texts(attribute: Item) -> tuple[str, ...]:
    """Return the strings of a list attribute."""
    return tuple(value["S"] for value in attribute["L"])


def owner_item(name: str, cluster: str) -> Item:
    """Return which cluster owns an instance or a fleet as an item."""
    return key(name, "home") | {"name": {"S": cluster}}


def owner_from(item: Item | None) -> str | None:
    """Read an owner; None if nothing is recorded, or nothing that can be read."""
    return read_or(None, lambda found: str(found["name"]["S"]), item)


def node_item(node: Node) -> Item:
    """Return a node's record as an item."""
    return key(node.cluster, f"node#{node.instance}") | _attributes(node)


def node_from(item: Item) -> Node:
    """Read a node; attributes that this version does not know are passed over."""
    return Node(**_values(Node, item))


def try_node_from(item: Item | None) -> Node | None:
    """Read a node, if there is one. Log one that cannot be read, so that it stops no cluster."""
    try:
        return node_from(item) if item else None
    except UNREADABLE as error:
        LOGGER.error("%s", _explain(item or {}, error))  # noqa: TRY400 - one line
        return None


def incident_key(cluster: str, name: str) -> Item:
    """Return the primary key of an incident; a very long name, such as a fleet's own words, is cut.

    A sort key has at most 1,024 bytes. The digest keeps names apart that begin alike.
    """
    written = name.encode()
    if len(written) > MAX_NAME_BYTES:
        name = f"{written[:MAX_NAME_BYTES].decode(errors='ignore')}#{sha256(written).hexdigest()[:16]}"
    return key(cluster, f"incident#{name}")


def incident_item(cluster: str, incident: Incident) -> Item:
    """Return an incident as an item."""
    attributes = _attributes(incident)
    attributes["name"] = attributes.pop("key")
    return incident_key(cluster, incident.key) | attributes


def incident_from(item: Item) -> Incident:
    """Read an incident; one that cannot be read says so, and stops no cluster."""
    try:
        return Incident(**_values(Incident, {"key": item["name"], **item}))
    except UNREADABLE as error:
        name = str(item["item"].get("S", "")).removeprefix("incident#")
        what = f"this incident cannot be read: {type(error).__name__} {error}"
        return Incident(key=name, at=0.0, what=what, left="-", fix="delete its item", notified=True)


def job_item(cluster: str, job: Job) -> Item:
    """Return a job as an item; the last one of a task stays until the next."""
    return key(cluster, f"errand#{job.task.value}") | _attributes(job)


def job_from(item: Item) -> Job:
    """Read a job."""
    return Job(**_values(Job, item))


def try_job_from(item: Item) -> Job | None:
    """Read a job; one that cannot be read counts as failed, and the next order replaces it.

    None for one of a task that this version does not know.
    """
    try:
        return job_from(item)
    except UNREADABLE as error:
        reason = _explain(item, error)
        LOGGER.error("%s", reason)  # noqa: TRY400 - one line
        name = item["item"]["S"].removeprefix("errand#")
        if name not in {task.value for task in AgentTask}:
            return None
        version = _version(item)
        return Job(task=AgentTask(name), since=0.0, stage=JobStage.FAILED, version=version, reason=reason)


def _explain(item: Item, error: Exception) -> str:
    where = f"({item['cluster'].get('S')}, {item['item'].get('S')})"
    why = checks.show(f"{type(error).__name__} {error}")
    return f"the item {where} cannot be read: {why}; fix or delete it"


def _version(item: Item) -> int:
    try:
        return int(item["version"]["N"])
    except UNREADABLE:
        return 1


def read_or(otherwise: Value, read: Callable[[Item], Value], item: Item | None, what: str = "it") -> Value:
    """Read an item; ``otherwise`` if there is none, or none that can be read, which the log then names."""
    try:
        return read(item) if item else otherwise
    except UNREADABLE as error:
        LOGGER.error("%s; %s counts as %s", _explain(item or {}, error), what, otherwise)  # noqa: TRY400
        return otherwise


def attribute(value: Any) -> Item:
    """Return a value as an attribute."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, tuple):
        return {"L": [{"M": _attributes(part)} for part in value]}
    return (
        {"S": str(value.value if isinstance(value, Enum) else value)}
        if isinstance(value, str)
        else number(value)
    )


def _attributes(record: Any) -> Item:
    """Return the fields of a dataclass that are not empty, and those that it cannot be made without."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    needed = {one.name for one in fields(record) if one.default is one.default_factory is MISSING}
    stored = STORED_NAMES.get(type(record), {})
    found = {
        stored.get(name, name): attribute(value)
        for name, value in values.items()
        if value not in EMPTY_VALUES or name in needed
    }
    if "expires" in found:
        found["expires"] = number(int(values["expires"]))  # time to live wants whole seconds
    return found


def _values(kind: Any, item: Item) -> dict[str, Any]:
    stored = STORED_NAMES.get(kind, {})
    names = {stored.get(field.name, field.name): field.name for field in fields(kind)}
    return {names[name]: value_of(name, found) for name, found in item.items() if name in names}


def value_of(name: str, found: Item) -> Any:
    """Return the value of an attribute."""
    if "BOOL" in found:
        return found["BOOL"]
    if "L" in found:
        return tuple(PARTS[name](**_values(PARTS[name], part["M"])) for part in found["L"])
    if "N" in found:
        return int(found["N"]) if name in INTEGERS else float(found["N"])
    return ENUMS.get(name, str)(found["S"])
