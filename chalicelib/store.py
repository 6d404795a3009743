"""The records, in one DynamoDB table. Every read is strongly consistent, every change is conditional.

Items (partition key ``cluster``, sort key ``item``):
    (cluster, ``node#i-…``)      the record of an instance; in the local index ``open`` while it has ``due``
    (cluster, ``cluster``)       ``managers``
    (cluster, ``breaker#i-…``)   how a manager host has behaved
    (cluster, ``lease``)         ``holder``, ``until``: who may send commands
    (``i-…``, ``home``)          ``name``: which cluster the instance belongs to. Never changes, never
                                 ends: a hundred bytes are cheaper than a node taken for somebody else's
    (``*``, ``census``)          ``taken``, ``busy_until``, ``clusters``
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.cluster import Census
from chalicelib.items import (
    breaker_attributes,
    breaker_from,
    census_from,
    census_item,
    host_from,
    key,
    node_from,
    node_item,
    number,
    strings,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.cluster import Breaker, Host, Node
    from chalicelib.items import Item

WRITERS = 16  # at once, when a census enrols a whole cluster
BREAKER_KEPT = 86_400.0  # seconds without news after which a breaker is forgotten


@dataclass(frozen=True, slots=True)
class DynamoStore:
    """The table through a DynamoDB client; the methods are told in world.Store."""

    client: DynamoDBClient
    table: str

    def home(self, instance: str) -> str | None:
        """The cluster of an instance."""
        item = self._get(instance, "home")
        return item["name"]["S"] if item else None

    def node(self, cluster: str, instance: str) -> Node | None:
        """The record of an instance."""
        item = self._get(cluster, f"node#{instance}")
        return node_from(item) if item else None

    def nodes(self, cluster: str) -> tuple[Node, ...]:
        """All records of a cluster."""
        condition = "#cluster = :cluster AND begins_with(#item, :prefix)"
        values = {":cluster": {"S": cluster}, ":prefix": {"S": "node#"}}
        names = {"#cluster": "cluster", "#item": "item"}
        return tuple(map(node_from, self._query(condition, names, values)))

    def open(self, cluster: str, until: float) -> tuple[Node, ...]:
        """The records with open work that is due by then, in order of ``due``."""
        condition = "#cluster = :cluster AND #due <= :until"
        values = {":cluster": {"S": cluster}, ":until": number(until)}
        names = {"#cluster": "cluster", "#due": "due"}
        return tuple(map(node_from, self._query(condition, names, values, IndexName="open")))

    def enrol(self, nodes: Iterable[Node]) -> None:
        """Begin records, and note where the instances are at home; existing records stay."""
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self._enrol, nodes))

    def move(self, before: Node, after: Node) -> bool:
        """Replace a record; False if it is no longer the one that was read."""
        values = {":version": number(before.version), ":state": {"S": before.state.value}}
        names = {"#version": "version", "#state": "state"}
        return self._put(node_item(after), "#version = :version AND #state = :state", names, values)

    def managers(self, cluster: str) -> tuple[str, ...]:
        """The instances that are the cluster's managers."""
        item = self._get(cluster, "cluster")
        return texts(item["managers"]) if item else ()

    def record_managers(self, cluster: str, managers: Iterable[str]) -> None:
        """Remember the managers."""
        self._put(key(cluster, "cluster") | {"managers": strings(managers)})

    def hosts(self, cluster: str) -> tuple[Host, ...]:
        """The managers as places to run commands."""
        managers = self.managers(cluster)
        keys = [key(cluster, kind + manager) for manager in managers for kind in ("node#", "breaker#")]
        items = {item["item"]["S"]: item for item in self._batch(keys)}
        return tuple(
            host_from(manager, items.get(f"node#{manager}"), items.get(f"breaker#{manager}"))
            for manager in managers
        )

    def breaker(self, cluster: str, manager: str) -> Breaker:
        """How a manager has behaved; closed if nothing is known."""
        return breaker_from(self._get(cluster, f"breaker#{manager}"))

    def record_breaker(self, cluster: str, manager: str, breaker: Breaker, now: float) -> None:
        """Remember how a manager has behaved. The last writer wins: it is advice, not truth."""
        expires = {"expires": number(int(now + BREAKER_KEPT))}
        self._put(key(cluster, f"breaker#{manager}") | breaker_attributes(breaker) | expires)

    def acquire(self, cluster: str, holder: str, now: float, seconds: float) -> bool:
        """Take or renew the lease; False while another holder's lasts."""
        item = key(cluster, "lease") | {"holder": {"S": holder}, "until": number(now + seconds)}
        values = {":holder": {"S": holder}, ":now": number(now)}
        names = {"#holder": "holder", "#until": "until"}
        free = "attribute_not_exists(#holder) OR #until <= :now OR #holder = :holder"
        return self._put(item, free, names, values)

    def release(self, cluster: str, holder: str) -> None:
        """Let the lease go, if it is still the holder's."""
        try:
            self.client.delete_item(
                TableName=self.table,
                Key=key(cluster, "lease"),
                ConditionExpression="#holder = :holder",
                ExpressionAttributeNames={"#holder": "holder"},
                ExpressionAttributeValues={":holder": {"S": holder}},
            )
        except ClientError as error:
            _raise_unless_refused(error)

    def census(self) -> Census:
        """When the last census was taken, and which clusters there are."""
        return census_from(self._get("*", "census"))

    def begin_census(self, seen: Census, now: float, seconds: float) -> bool:
        """Claim the next census for some seconds; False if somebody else was faster."""
        item = census_item(Census(seen.taken, now + seconds, seen.clusters))
        values = {":taken": number(seen.taken), ":now": number(now)}
        names = {"#taken": "taken", "#busy": "busy_until"}
        free = "attribute_not_exists(#taken) OR (#taken = :taken AND #busy <= :now)"
        return self._put(item, free, names, values)

    def end_census(self, taken: float, clusters: Iterable[str]) -> None:
        """The census that began at ``taken`` is recorded completely."""
        self._put(census_item(Census(taken, clusters=tuple(clusters))))

    def _enrol(self, node: Node) -> None:
        # Home first: a home without a record is completed by the next census, the reverse would not be.
        self._put(key(node.instance, "home") | {"name": {"S": node.cluster}})
        self._put(node_item(node), "attribute_not_exists(#item)", {"#item": "item"})

    def _get(self, cluster: str, item: str) -> Item | None:
        found = self.client.get_item(TableName=self.table, Key=key(cluster, item), ConsistentRead=True)
        return found.get("Item")

    def _batch(self, keys: list[Item]) -> list[Item]:
        if not keys:
            return []
        items: list[Item] = []
        wanted: dict[str, Any] = {self.table: {"Keys": keys, "ConsistentRead": True}}
        while wanted:
            page = self.client.batch_get_item(RequestItems=wanted)
            items += page["Responses"].get(self.table, [])
            wanted = page["UnprocessedKeys"]
        return items

    def _query(self, condition: str, names: Mapping[str, str], values: Item, **more: Any) -> Iterator[Item]:
        pages = self.client.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ConsistentRead=True,
            **more,
        )
        for page in pages:
            yield from page["Items"]

    def _put(
        self,
        item: Item,
        condition: str = "",
        names: Mapping[str, str] | None = None,
        values: Item | None = None,
    ) -> bool:
        """Write an item; False if the condition refused it."""
        more: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        more |= {"ExpressionAttributeNames": names} if names else {}
        more |= {"ExpressionAttributeValues": values} if values else {}
        try:
            self.client.put_item(TableName=self.table, Item=item, **more)
        except ClientError as error:
            _raise_unless_refused(error)
            return False
        return True


def _raise_unless_refused(error: ClientError) -> None:
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
