"""The DynamoDB table as such: items are read consistently, and written on conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.adapters.dynamodb.items import Item, key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AT_ONCE = 100  # items of one batch, DynamoDB's maximum


@dataclass(frozen=True, slots=True)
class Table:
    """A table through a client."""

    client: DynamoDBClient
    table: str

    def get(self, cluster: str, item: str) -> Item | None:
        found = self.client.get_item(TableName=self.table, Key=key(cluster, item), ConsistentRead=True)
        return found.get("Item")

    def batch(self, keys: list[Item]) -> list[Item]:
        items: list[Item] = []
        for first in range(0, len(keys), AT_ONCE):
            some = keys[first : first + AT_ONCE]
            wanted: dict[str, Any] = {self.table: {"Keys": some, "ConsistentRead": True}}
            while wanted:
                page = self.client.batch_get_item(RequestItems=wanted)
                items += page["Responses"].get(self.table, [])
                wanted = page["UnprocessedKeys"]
        return items

    def all(self, cluster: str, prefix: str) -> Iterator[Item]:
        condition = "#cluster = :cluster AND begins_with(#item, :prefix)"
        values = {":cluster": {"S": cluster}, ":prefix": {"S": prefix}}
        return self.query(condition, {"#cluster": "cluster", "#item": "item"}, values)

    def query(self, condition: str, names: Mapping[str, str], values: Item, **more: Any) -> Iterator[Item]:
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

    def put(
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
            raise_unless_refused(error)
            return False
        return True

    def update(
        self, where: Item, change: str, condition: str, names: Mapping[str, str], values: Item
    ) -> Item | None:
        """Change an item and answer it as it is then; None if the condition refused it."""
        try:
            answer = self.client.update_item(
                TableName=self.table,
                Key=where,
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            raise_unless_refused(error)
            return None
        return answer["Attributes"]

    def delete(self, where: Item, condition: str, names: Mapping[str, str], values: Item) -> bool:
        """Delete an item; False if the condition refused it."""
        try:
            self.client.delete_item(
                TableName=self.table,
                Key=where,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            raise_unless_refused(error)
            return False
        return True


def raise_unless_refused(error: ClientError) -> None:
    """Pass over that a condition was not met."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
