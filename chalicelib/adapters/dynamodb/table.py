"""The DynamoDB table as such. Every read is strongly consistent; writes can carry a condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.adapters.dynamodb.items import Item, key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_ITEMS = 100  # DynamoDB's maximum


@dataclass(frozen=True, slots=True)
class Table:
    """A table through a client."""

    client: DynamoDBClient
    name: str

    def get(self, cluster: str, item: str) -> Item | None:
        found = self.client.get_item(TableName=self.name, Key=key(cluster, item), ConsistentRead=True)
        return found.get("Item")

    def get_batch(self, keys: list[Item]) -> list[Item]:
        items: list[Item] = []
        for first in range(0, len(keys), BATCH_ITEMS):
            some = keys[first : first + BATCH_ITEMS]
            wanted: dict[str, Any] = {self.name: {"Keys": some, "ConsistentRead": True}}
            while wanted:
                page = self.client.batch_get_item(RequestItems=wanted)
                items += page["Responses"].get(self.name, [])
                wanted = page["UnprocessedKeys"]
        return items

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
