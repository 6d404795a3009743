"""The records of storms in virtual time make the calls that the real adapters make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.storm import plan
from bench.storm.virtual.limits import Limits
from bench.storm.virtual.records import COSTS, costs_of_nodes
from bench.storm.virtual.storm import START, Ground
from chalicelib.adapters import wiring
from chalicelib.adapters.patience import Patience
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.cluster import Breaker, Discovery
from chalicelib.state.incident import Incident
from chalicelib.state.job import Job
from tests.unit.chalicelib.adapters.support.aws_calls import Calls
from tests.unit.chalicelib.conftest import TABLE
from tests.unit.chalicelib.support.fakes import FakeClock, a_node, instance

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NODES = [a_node(cluster=plan.CLUSTER, instance=instance(9000 + number), due=5.0) for number in range(3)]
CHANGED = [(node, node.revise(reason="changed")) for node in NODES]
JOB = Job(task=AgentTask.INSPECT, since=0.0)
INCIDENT = Incident(key="a", at=0.0, what="x", left="y", fix="z")
IN = plan.CLUSTER
CALLS: list[tuple[str, str, tuple[Any, ...]]] = [
    ("nodes", "register", (NODES,)),
    ("nodes", "find_owner", ("i-1",)),
    ("nodes", "record_owners", (IN, ["f-1", "f-2"])),
    ("nodes", "get", (IN, "i-1")),
    ("nodes", "list_all", (IN,)),
    ("nodes", "list_open", (IN, 10.0)),
    ("nodes", "replace", CHANGED[0]),
    ("nodes", "replace_all", (CHANGED[1:],)),
    ("clusters", "read", (IN, "i-1")),
    ("clusters", "read", (IN,)),
    ("managers", "record", (IN, ["i-1"])),
    ("managers", "list_ids", (IN,)),
    ("managers", "list_hosts", (IN,)),
    ("managers", "get_breaker", (IN, "i-1")),
    ("managers", "record_breaker", (IN, "i-1", Breaker(), 0.0)),
    ("settings", "get", (IN,)),
    ("settings", "update", (IN, {"paused": False})),
    ("incidents", "list_all", (IN,)),
    ("incidents", "get", (IN, "a")),
    ("incidents", "record", (IN, INCIDENT, 0.0)),
    ("incidents", "mark_notified", (IN, "a")),
    ("incidents", "delete", (IN, "a")),
    ("jobs", "list_all", (IN,)),
    ("jobs", "replace", (IN, None, JOB)),
    ("lease", "acquire", (IN, "me", 0.0, 10.0)),
    ("lease", "request_recheck", (IN, 0.0)),
    ("lease", "release", (IN, "me")),
    ("discoveries", "latest", ()),
    ("discoveries", "look_up", ("i-1",)),
    ("discoveries", "begin", (Discovery(), 0.0, 10.0)),
    ("discoveries", "finish", (5.0, [IN])),
]


def test_given_each_method_expected_the_calls_of_the_real_adapter(table: DynamoDBClient) -> None:  # noqa: ARG001
    clock = FakeClock()
    real = wiring.connect(TABLE, "", "dev", Patience(clock))
    nodes: Any = real.nodes
    calls = Calls(clock).watch(nodes.table.client)
    ground = Ground(3)

    def compare() -> None:
        for port, method, arguments in CALLS:
            calls.made.clear()
            ground.meter.calls.clear()
            getattr(getattr(real, port), method)(*arguments)
            getattr(getattr(ground.world, port), method)(*arguments)
            assert ground.meter.calls == calls.made, (port, method)

    ground.clock.start_at(START, compare)
    ground.clock.run_until(START + 60.0)
    named = {(port, method) for port, method, _ in CALLS}
    costs: Any = {**COSTS, "nodes": costs_of_nodes(Limits())}
    assert named == {(port, method) for port, methods in costs.items() for method in methods}
