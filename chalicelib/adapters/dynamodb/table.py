"""The DynamoDB table as such. Every read is strongly consistent; writes can carry a condition.

Calls that DynamoDB refuses for now are repeated by the client (adapters/patience.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.adapters.aws_errors import AWS_ERRORS, PASSING, cancellation_codes, is_passing, translate
from chalicelib.adapters.dynamodb.items import Item, key
from chalicelib.adapters.patience import Patience
from chalicelib.errors import ThrottledError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_ITEMS = 100  # DynamoDB's maximum for one call, of reads and of writes
CONDITION_FAILED = "ConditionalCheckFailed"


@dataclass(frozen=True, slots=True)
class Write:
    """An item to write as part of a transaction, if it meets the condition."""

    item: Item
    condition: str = ""
    names: Mapping[str, str] | None = None
    values: Item | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table through a client that ``patience`` watches."""

    client: DynamoDBClient
    name: str
    patience: Patience = field(default_factory=Patience)

    def get(self, cluster: str, item: str) -> Item | None:
        found = self.client.get_item(TableName=self.name, Key=key(cluster, item), ConsistentRead=True)
        return found.get("Item")

    def get_batch(self, keys: list[Item]) -> list[Item]:
        """Read items by their keys, in any order; what is not there is left out."""
        starts = range(0, len(keys), BATCH_ITEMS)
        return [item for first in starts for item in self._get_some(keys[first : first + BATCH_ITEMS])]

    def _get_some(self, keys: list[Item]) -> list[Item]:
        """Read at most 100 items. A busy table answers some of them, so the rest is asked for again."""
        items: list[Item] = []
        wanted: dict[str, Any] = {self.name: {"Keys": keys, "ConsistentRead": True}}
        began, attempts = self.patience.clock.now(), 0
        while True:
            page = self.client.batch_get_item(RequestItems=wanted)
            items += page["Responses"].get(self.name, [])
            wanted = page["UnprocessedKeys"]
            if not wanted:
                return items
            attempts += 1
            if not self.patience.back_off(attempts, began):
                raise ThrottledError(f"DynamoDB asks for fewer calls: {len(items)} of {len(keys)} items read")

    def query_prefix(self, cluster: str, prefix: str) -> Iterator[Item]:
        condition = "#cluster = :cluster AND begins_with(#item, :prefix)"
        values = {":cluster": {"S": cluster}, ":prefix": {"S": prefix}}
        return self.query(condition, {"#cluster": "cluster", "#item": "item"}, values)

    def query(self, condition: str, names: Mapping[str, str], values: Item, **more: Any) -> Iterator[Item]:
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ConsistentRead=True,
            **more,
        )
        for page in pages:
            yield from page["Items"]

    def put(
        self,
        item: Item,
        condition: str = "",
        names: Mapping[str, str] | None = None,
        values: Item | None = None,
    ) -> bool:
        """Write an item; False if the condition refused it."""
        try:
            self.client.put_item(TableName=self.name, Item=item, **_expressions(condition, names, values))
        except ClientError as error:
            _raise_unless_condition_failed(error)
            return False
        return True

    def write_together(self, writes: Sequence[Write]) -> list[bool]:
        """Write at most 100 items in one call, all or none of them; answers which ones met their condition.

        Nothing is written unless all did. It takes twice the write units of single calls. Raises
        ThrottledError where DynamoDB refuses the call for now.
        """
        puts: list[Any] = [
            {
                "Put": {"TableName": self.name, "Item": one.item}
                | _expressions(one.condition, one.names, one.values)
            }
            for one in writes
        ]
        try:
            self.client.transact_write_items(TransactItems=puts)
        except AWS_ERRORS as error:
            if is_passing(error):
                raise translate(error, "DynamoDB") from error
            codes = cancellation_codes(getattr(error, "response", {}))
            if CONDITION_FAILED not in codes or set(codes) - {CONDITION_FAILED, "None", *PASSING}:
                raise
            return [code != CONDITION_FAILED for code in codes]
        return [True] * len(writes)

    def write_where_met(self, writes: Sequence[Write]) -> list[bool]:
        """Write those of the items that meet their condition; answers which ones were written.

        Each part of at most 100 goes in one call, and in one more where a condition was not met.
        """
        starts = range(0, len(writes), BATCH_ITEMS)
        return [done for first in starts for done in self._write_some(writes[first : first + BATCH_ITEMS])]

    def _write_some(self, writes: Sequence[Write]) -> list[bool]:
        left = dict(enumerate(writes))
        while left:
            met = self.write_together(list(left.values()))
            if all(met):
                break
            left = {
                number: write for (number, write), is_met in zip(left.items(), met, strict=True) if is_met
            }
        return [number in left for number in range(len(writes))]

    def update(
        self, where: Item, change: str, names: Mapping[str, str], values: Item, condition: str = ""
    ) -> Item | None:
        """Change an item and answer it as it is then; None if the condition refused it."""
        try:
            answer = self.client.update_item(
                TableName=self.name,
                Key=where,
                UpdateExpression=change,
                ReturnValues="ALL_NEW",
                **_expressions(condition, names, values),
            )
        except ClientError as error:
            _raise_unless_condition_failed(error)
            return None
        return answer["Attributes"]

    def delete(
        self,
        where: Item,
        condition: str = "",
        names: Mapping[str, str] | None = None,
        values: Item | None = None,
    ) -> bool:
        """Delete an item; False if the condition refused it."""
        try:
            self.client.delete_item(TableName=self.name, Key=where, **_expressions(condition, names, values))
        except ClientError as error:
            _raise_unless_condition_failed(error)
            return False
        return True


def _expressions(condition: str, names: Mapping[str, str] | None, values: Item | None) -> dict[str, Any]:
    more: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
    more |= {"ExpressionAttributeNames": names} if names else {}
    return more | ({"ExpressionAttributeValues": values} if values else {})


def _raise_unless_condition_failed(error: ClientError) -> None:
    """Pass over that a condition was not met; raise any other error."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
