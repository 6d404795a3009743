"""The records, in one DynamoDB table. Every read is strongly consistent, every change is conditional.

Items (partition key ``cluster``, sort key ``item``):
    (cluster, ``node#i-…``)      the record of an instance; in the local index ``open`` while it has ``due``
    (cluster, ``cluster``)       ``managers``
    (cluster, ``breaker#i-…``)   how a manager host has behaved
    (cluster, ``settings``)      how the cluster is to be treated, as far as people have set it
    (cluster, ``incident#…``)    what people have to know; with ``record`` it is a dead letter
    (cluster, ``errand#task``)   what was last ordered of the cluster as a whole
    (cluster, ``lease``)         ``holder``, ``until``: who may send; ``calls``: how many others wanted to
    (``i-…``, ``home``)          ``name``: which cluster the instance or fleet belongs to. Never changes,
                                 never ends: a hundred bytes are cheaper than a node taken for somebody else's
    (``*``, ``discovery``)          ``taken``, ``busy_until``, ``clusters``
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.items import (
    attribute,
    breaker_attributes,
    breaker_from,
    discovery_from,
    discovery_item,
    host_from,
    incident_from,
    incident_item,
    job_from,
    job_item,
    key,
    node_from,
    node_item,
    number,
    settings_from,
    strings,
    texts,
)
from chalicelib.adapters.dynamodb.table import Table
from chalicelib.state.cluster import Discovery

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chalicelib.state.cluster import Breaker, Host
    from chalicelib.state.incident import Incident
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node
    from chalicelib.state.settings import ClusterSettings

WRITERS = 16  # at once, when a discovery registers a whole cluster
BREAKER_KEPT = 86_400.0  # seconds without news after which a breaker is forgotten


@dataclass(frozen=True, slots=True)
class DynamoStore(Table):
    """The records by their meaning; the methods are told in world.Store."""

    def owner_cluster(self, instance: str) -> str | None:
        """The cluster of an instance."""
        item = self.get(instance, "home")
        return item["name"]["S"] if item else None

    def node(self, cluster: str, instance: str) -> Node | None:
        """The record of an instance."""
        item = self.get(cluster, f"node#{instance}")
        return node_from(item) if item else None

    def nodes(self, cluster: str) -> tuple[Node, ...]:
        """All records of a cluster."""
        return tuple(map(node_from, self.all(cluster, "node#")))

    def open(self, cluster: str, until: float) -> tuple[Node, ...]:
        """The records with open work that is due by then, in order of ``due``."""
        condition = "#cluster = :cluster AND #due <= :until"
        values = {":cluster": {"S": cluster}, ":until": number(until)}
        names = {"#cluster": "cluster", "#due": "due"}
        found = self.query(condition, names, values, IndexName="open")
        return tuple(node_from(item) for item in found if item["item"]["S"].startswith("node#"))

    def register(self, nodes: Iterable[Node], *, owned: bool = True) -> None:
        """Begin records, and note that the instances are at home here if so; existing records stay."""
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(lambda node: self._register(node, owned=owned), nodes))

    def replace_record(self, before: Node, after: Node) -> bool:
        """Replace a record; False if it is no longer the one that was read."""
        values = {":version": number(before.version), ":state": {"S": before.state.value}}
        names = {"#version": "version", "#state": "state"}
        return self.put(node_item(after), "#version = :version AND #state = :state", names, values)

    def record_owners(self, cluster: str, fleets: Iterable[str]) -> None:
        """Note which cluster fleets work for: their own events name no instance."""
        for fleet in fleets:
            self.put(key(fleet, "home") | {"name": {"S": cluster}})

    def managers(self, cluster: str) -> tuple[str, ...]:
        """The instances that are the cluster's managers."""
        item = self.get(cluster, "cluster")
        return texts(item["managers"]) if item else ()

    def record_managers(self, cluster: str, managers: Iterable[str]) -> None:
        """Remember the managers."""
        self.put(key(cluster, "cluster") | {"managers": strings(managers)})

    def hosts(self, cluster: str) -> tuple[Host, ...]:
        """The managers as places to run commands."""
        managers = self.managers(cluster)
        keys = [key(cluster, kind + manager) for manager in managers for kind in ("node#", "breaker#")]
        items = {item["item"]["S"]: item for item in self.batch(keys)}
        return tuple(
            host_from(manager, items.get(f"node#{manager}"), items.get(f"breaker#{manager}"))
            for manager in managers
        )

    def settings(self, cluster: str) -> ClusterSettings:
        """How the cluster is to be treated."""
        return settings_from(self.get(cluster, "settings"))

    def update_settings(self, cluster: str, changes: Mapping[str, str | bool | float]) -> None:
        """Treat it otherwise; what is not named stays as it is."""
        self.client.update_item(
            TableName=self.table,
            Key=key(cluster, "settings"),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
            ExpressionAttributeNames={f"#{name}": name for name in changes},
            ExpressionAttributeValues={f":{name}": attribute(value) for name, value in changes.items()},
        )

    def incidents(self, cluster: str) -> tuple[Incident, ...]:
        """All incidents that are not forgotten."""
        return tuple(map(incident_from, self.all(cluster, "incident#")))

    def incident(self, cluster: str, name: str) -> Incident | None:
        """The incident of a key."""
        item = self.get(cluster, f"incident#{name}")
        return incident_from(item) if item else None

    def open_incident(self, cluster: str, incident: Incident, now: float) -> bool:
        """Record an incident; False where it is known and has not expired."""
        names, values = {"#expires": "expires"}, {":now": number(now)}
        free = "attribute_not_exists(#expires) OR #expires <= :now"
        return self.put(incident_item(cluster, incident), free, names, values)

    def told(self, cluster: str, name: str) -> None:
        """Somebody was told of the incident; one that is forgotten meanwhile stays so."""
        where, names = key(cluster, f"incident#{name}"), {"#told": "told", "#item": "item"}
        self.update(where, "SET #told = :true", "attribute_exists(#item)", names, {":true": {"BOOL": True}})

    def forget(self, cluster: str, name: str) -> None:
        """The incident is over."""
        self.client.delete_item(TableName=self.table, Key=key(cluster, f"incident#{name}"))

    def replace_job(self, cluster: str, before: Job | None, after: Job) -> bool:
        """Begin an job (``before`` is None) or replace it; False if it is not the one that was read."""
        if before is None:
            return self.put(job_item(cluster, after), "attribute_not_exists(#item)", {"#item": "item"})
        values = {":version": number(before.version)}
        return self.put(job_item(cluster, after), "#version = :version", {"#version": "version"}, values)

    def jobs(self, cluster: str) -> tuple[Job, ...]:
        """What was ordered last, one for each task."""
        return tuple(map(job_from, self.all(cluster, "errand#")))

    def breaker(self, cluster: str, manager: str) -> Breaker:
        """How a manager has behaved; closed if nothing is known."""
        return breaker_from(self.get(cluster, f"breaker#{manager}"))

    def record_breaker(self, cluster: str, manager: str, breaker: Breaker, now: float) -> None:
        """Remember how a manager has behaved. The last writer wins: it is advice, not truth."""
        expires = {"expires": number(int(now + BREAKER_KEPT))}
        self.put(key(cluster, f"breaker#{manager}") | breaker_attributes(breaker) | expires)

    def acquire(self, cluster: str, holder: str, now: float, seconds: float) -> int | None:
        """Take or renew the lease; answers how often it was called for, None while another holder's lasts."""
        values = {":holder": {"S": holder}, ":until": number(now + seconds)}
        found = self.update(
            key(cluster, "lease"),
            "SET #holder = :holder, #until = :until, #calls = if_not_exists(#calls, :none)",
            "attribute_not_exists(#holder) OR #until <= :now OR #holder = :holder",
            {"#holder": "holder", "#until": "until", "#calls": "calls"},
            values | {":now": number(now), ":none": number(0)},
        )
        return int(found["calls"]["N"]) if found else None

    def call(self, cluster: str, now: float) -> int:
        """Have the holder of the lease look again before it lets go.

        Answers how many have called since it took the lease; 0 if nobody holds it.
        """
        names, values = {"#until": "until", "#calls": "calls"}, {":now": number(now), ":one": number(1)}
        found = self.update(key(cluster, "lease"), "ADD #calls :one", "#until > :now", names, values)
        return int(found["calls"]["N"]) if found else 0

    def release(self, cluster: str, holder: str, calls: int | None = None) -> bool:
        """Let the lease go, if it is still the holder's and, where ``calls`` is given, no more calls came."""
        condition, names, values = "#holder = :holder", {"#holder": "holder"}, {":holder": {"S": holder}}
        if calls is not None:
            condition += " AND #calls = :calls"
            names["#calls"], values[":calls"] = "calls", number(calls)
        return self.delete(key(cluster, "lease"), condition, names, values)

    def discovery(self) -> Discovery:
        """When the last discovery was taken, and which clusters there are."""
        return discovery_from(self.get("*", "census"))

    def begin_discovery(self, seen: Discovery, now: float, seconds: float) -> bool:
        """Claim the next discovery for some seconds; False if somebody else was faster."""
        item = discovery_item(Discovery(seen.taken, now + seconds, seen.clusters))
        values = {":taken": number(seen.taken), ":now": number(now)}
        names = {"#taken": "taken", "#busy": "busy_until"}
        free = "attribute_not_exists(#taken) OR (#taken = :taken AND #busy <= :now)"
        return self.put(item, free, names, values)

    def end_discovery(self, taken: float, clusters: Iterable[str]) -> None:
        """The discovery that began at ``taken`` is recorded; one that began later stands."""
        free, values = "attribute_not_exists(#taken) OR #taken <= :taken", {":taken": number(taken)}
        self.put(
            discovery_item(Discovery(taken, clusters=tuple(clusters))), free, {"#taken": "taken"}, values
        )

    def _register(self, node: Node, *, owned: bool) -> None:
        # Home first: a home without a record is completed by the next discovery, the reverse would not be.
        if owned:
            self.put(key(node.instance, "home") | {"name": {"S": node.cluster}})
        self.put(node_item(node), "attribute_not_exists(#item)", {"#item": "item"})
