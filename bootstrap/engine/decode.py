"""Read the engine's JSON into values; a long list row by row, as it comes."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from sys import intern
from typing import Any

from bootstrap.engine.config import Config
from bootstrap.engine.network import NAMESPACE_LABEL, Network
from bootstrap.engine.node import Membership, Node
from bootstrap.engine.node_event import NodeEvent
from bootstrap.engine.service import Service, counted
from bootstrap.engine.task import Task, moment

BETWEEN = re.compile(r"[\s,\[]*")  # what stands before a row of a list


def rows(chunks: Iterable[bytes]) -> Iterator[Any]:
    """Read the rows of a JSON list, each as soon as it is there: the list never stands whole in memory.

    Raises ConnectionError where it breaks off.
    """
    decoder, decode = codecs.getincrementaldecoder("utf-8")(), json.JSONDecoder().raw_decode
    rest = ""
    for chunk in chunks:
        text, at = rest + decoder.decode(chunk), 0
        try:
            while True:
                if gap := BETWEEN.match(text, at):
                    at = gap.end()
                row, at = decode(text, at)
                yield row
        except json.JSONDecodeError:  # the next row is not all there yet
            rest = text[at:]
    if rest.strip() != "]":
        raise ConnectionError("the list broke off")


def read_node(row: Mapping[str, Any]) -> Node:
    """Read a node from one row of ``GET /nodes``."""
    description = row.get("Description") or {}
    resources = description.get("Resources") or {}
    platform = description.get("Platform") or {}
    engine = description.get("Engine") or {}
    manager = row.get("ManagerStatus") or {}
    return Node(
        id=row["ID"],
        version=row["Version"]["Index"],
        spec=row["Spec"],
        state=row["Status"].get("State", "unknown"),
        address=_host(manager.get("Addr") or "") or row["Status"].get("Addr", ""),
        hostname=description.get("Hostname", ""),
        engine_labels=engine.get("Labels") or {},
        platform=(platform.get("OS", ""), platform.get("Architecture", "")),
        cpus=int(resources.get("NanoCPUs", 0)),
        memory=int(resources.get("MemoryBytes", 0)),
        generic=counted(resources.get("GenericResources")),
        reachability=manager.get("Reachability", "") if manager else "",
        is_leader=bool(manager.get("Leader", False)),
        plugins=_plugins(tuple((one["Type"], one["Name"]) for one in engine.get("Plugins") or ()))
        if engine
        else None,
    )


def read_membership(info: Mapping[str, Any], *, has_raft_state: bool = False) -> Membership:
    """Read a membership from ``GET /info``, and from whether a manager's state is on the disk."""
    swarm = info.get("Swarm") or {}
    return Membership(
        state=str(swarm.get("LocalNodeState") or "inactive"),
        node=str(swarm.get("NodeID") or ""),
        is_manager=bool(swarm.get("ControlAvailable")),
        managers=frozenset(_host(row["Addr"]) for row in swarm.get("RemoteManagers") or ()),
        error=str(swarm.get("Error") or ""),
        has_raft_state=has_raft_state,
        engine_labels=dict(_pair(row) for row in info.get("Labels") or ()),
    )


def read_service(row: Mapping[str, Any]) -> Service:
    """Read a service from one row of ``GET /services``."""
    status = row.get("UpdateStatus") or {}
    return Service(row["ID"], row["Version"]["Index"], row["Spec"], status.get("State", ""))


def read_task(row: Mapping[str, Any]) -> Task:
    """Read a task from one row of ``GET /tasks``.

    Its state's time is the worker's own; the managers have noted it no earlier than it was, by their clock.
    """
    since, noted = row["Status"].get("Timestamp", ""), row.get("UpdatedAt", "")
    return Task(
        id=row["ID"],
        service=intern(row.get("ServiceID", "")),
        node=intern(row.get("NodeID", "")),
        slot=row.get("Slot", 0),
        state=intern(row["Status"]["State"]),
        desired=intern(row["DesiredState"]),
        created=row.get("CreatedAt", ""),
        since=min(since, noted, key=moment) if noted else since,
        drivers=tuple({name for one in row.get("NetworksAttachments") or () if (name := _driver(one))}),
    )


@lru_cache(maxsize=64)
def _plugins(rows: tuple[tuple[str, str], ...]) -> frozenset[tuple[str, str]]:
    """Share one set among all nodes that have the same."""
    return frozenset(rows)


def _driver(attachment: Mapping[str, Any]) -> str:
    return str(((attachment.get("Network") or {}).get("DriverState") or {}).get("Name", ""))


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _pair(label: str) -> tuple[str, str]:
    name, _, value = label.partition("=")
    return name, value


def read_config(row: Mapping[str, Any]) -> Config:
    """Read a config from one row of ``GET /configs``."""
    return Config(row["ID"], row["Version"]["Index"], row["Spec"])


def read_network(row: Mapping[str, Any]) -> Network:
    """Read a network from one row of ``GET /networks``."""
    ranges = (row.get("IPAM") or {}).get("Config") or ()
    subnets = tuple(str(one["Subnet"]) for one in ranges if one.get("Subnet"))
    return Network(row["Name"], subnets, (row.get("Labels") or {}).get(NAMESPACE_LABEL, ""))


def read_node_event(row: Mapping[str, Any]) -> NodeEvent:
    """Read an event from one row of ``GET /events``."""
    actor = row.get("Actor") or {}
    said: Mapping[str, str] = actor.get("Attributes") or {}
    fields = sorted(key[: -len(".new")] for key in said if key.endswith(".new"))
    changes = {name: (said.get(f"{name}.old", ""), said[f"{name}.new"]) for name in fields}
    return NodeEvent(str(row.get("Action", "")), str(actor.get("ID", "")), said.get("name", ""), changes)
