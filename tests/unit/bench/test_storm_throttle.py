"""The table of storms refuses what exceeds the units of one partition, and only that."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from bench.storm.throttle import ThrottledTable, count_units
from bench.storm.virtual.limits import Limits
from chalicelib.adapters.dynamodb.items import key, node_item
from tests.lab.endpoint.messages import Request, Response
from tests.unit.chalicelib.support.fakes import a_node

OPEN, CALM = node_item(a_node(due=5.0)), node_item(a_node())


def request(operation: str, body: dict[str, Any]) -> Request:
    headers = (("X-Amz-Target", f"DynamoDB_20120810.{operation}"),)
    return Request("POST", "/", headers, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("operation", "body", "kind", "units"),
    [
        ("PutItem", {"Item": CALM}, "writes", 2),
        ("PutItem", {"Item": OPEN}, "writes", 3),
        ("PutItem", {"Item": {**OPEN, "reason": {"S": "x" * 1500}}}, "writes", 6),
        ("PutItem", {"Item": key("blue", "cluster")}, "writes", 1),
        ("UpdateItem", {"Key": key("blue", "lease")}, "writes", 1),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"Item": OPEN}}] * 2}, "writes", 12),
        ("GetItem", {"Key": key("blue", "lease")}, "reads", 1),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": [key("blue", "a"), key("blue", "b")]}}}, "reads", 2),
        ("Query", {"ExpressionAttributeValues": {":cluster": {"S": "blue"}}}, "reads", 1),
    ],
)
def test_given_a_call_expected_its_units_of_the_partition(
    operation: str, body: dict[str, Any], kind: str, units: int
) -> None:
    assert count_units(operation, body) == {("blue", kind): units}


def test_given_too_many_writes_expected_refusals_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    table = ThrottledTable(lambda _: Response(200, b"{}"), Limits(write_units=6.0))
    write, other = request("PutItem", {"Item": OPEN}), request("GetItem", {"Key": key("blue", "a")})
    assert [table.answer(write).status for _ in range(3)] == [200, 200, 400]
    assert table.answer(other).status == 200
    now[0] += 0.5
    assert [table.answer(write).status for _ in range(2)] == [200, 400]
    assert table.refused == 2
    assert b"ProvisionedThroughputExceeded" in table.answer(write).body


def test_given_a_large_query_expected_fewer_units_for_later_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 100.0)
    table = ThrottledTable(lambda _: Response(200, b"x" * 40960), Limits(read_units=8.0))
    query = request("Query", {"ExpressionAttributeValues": {":cluster": {"S": "blue"}}})
    assert [table.answer(query).status for _ in range(2)] == [200, 400]
    assert table.busy == [(100.0, 100.0)]
