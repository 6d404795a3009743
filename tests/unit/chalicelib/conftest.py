"""AWS as moto plays it, with the table as the stack makes it; and logs that are not written."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from moto.core.models import MockAWS
from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table

from chalicelib.observability import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "swarmkeeper-dev"  # as .chalice/config.json names it


def make_table(client: DynamoDBClient) -> None:
    """Make the table as bootstrap's CloudFormation template does."""
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "cluster", "AttributeType": "S"},
            {"AttributeName": "item", "AttributeType": "S"},
            {"AttributeName": "due", "AttributeType": "N"},
        ],
        KeySchema=[
            {"AttributeName": "cluster", "KeyType": "HASH"},
            {"AttributeName": "item", "KeyType": "RANGE"},
        ],
        LocalSecondaryIndexes=[
            {
                "IndexName": "open",
                "KeySchema": [
                    {"AttributeName": "cluster", "KeyType": "HASH"},
                    {"AttributeName": "due", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


@contextmanager
def quiet_log() -> Iterator[None]:
    """Write no log: half of a simulation's time would go into its lines."""
    level = logger.log_level
    logger.setLevel("WARNING")
    yield
    logger.setLevel(level)


@pytest.fixture
def quiet() -> Iterator[None]:
    with quiet_log():
        yield


WRITE = DynamoDBBackend.transact_write_items


def write_with_one_copy(backend: DynamoDBBackend, items: list[dict[str, Any]]) -> None:
    """Write a transaction.

    Before the first write moto copies the whole table, to roll back, once for each item: all the same.
    """
    kept: dict[str, Table] = {}

    def copied(value: Any) -> Any:
        if not isinstance(value, Table):
            return deepcopy(value)
        if value.name not in kept:
            kept[value.name] = deepcopy(value)
        return kept[value.name]

    with patch.object(models, "copy", SimpleNamespace(deepcopy=copied)):
        WRITE(backend, items)


@pytest.fixture(scope="module")
def moto() -> Iterator[MockAWS]:
    """Start moto once for all tests of a module: each start lays out the addresses of all of AWS."""
    with mock_aws() as mock:
        yield mock


@pytest.fixture
def aws(moto: MockAWS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an empty AWS, as moto plays it, with credentials that are good for nothing."""
    moto.reset()
    monkeypatch.setattr(DynamoDBBackend, "transact_write_items", write_with_one_copy)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("TABLE", TABLE)


@pytest.fixture
def table(aws: None) -> DynamoDBClient:  # noqa: ARG001 - the order matters
    """Connect a client to an empty table."""
    client = boto3.client("dynamodb")
    make_table(client)
    return client
