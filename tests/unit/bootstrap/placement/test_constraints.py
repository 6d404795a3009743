"""Where tasks may go, after Swarm's own rules."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.engine.decode import read_node
from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.placement.constraints import can_hold, count_room, meets_constraint, why_unfit
from bootstrap.placement.constraints import needed_plugins as needed

GIB = 1 << 30


def node(number: int = 1, availability: str = "active", state: str = "ready") -> Node:
    return read_node(
        {
            "ID": f"n{number}",
            "Version": {"Index": 1},
            "Spec": {"Role": "worker", "Availability": availability, "Labels": {"disk": "ssd"}},
            "Status": {"State": state, "Addr": f"10.0.1.{number}"},
            "Description": {
                "Hostname": f"Host-{number}",
                "Engine": {"Labels": {"zone": "us-east-1a"}},
                "Platform": {"OS": "linux", "Architecture": "x86_64"},
                "Resources": {"NanoCPUs": 2_000_000_000, "MemoryBytes": 4 * GIB},
            },
        }
    )


def service(key: str = "s1", placement: dict[str, Any] | None = None, **spec: Any) -> Service:
    template = {"Placement": placement or {}, **spec.pop("template", {})}
    return Service(key, 1, {"Name": key, "TaskTemplate": template, **spec}, "")


def task(key: str, of: Service, on: Node) -> Task:
    return Task(key, of.id, on.id, 1, "running", "running")


@pytest.mark.parametrize(
    ("constraint", "met"),
    [
        ("node.id==n1", True),
        ("node.id!=n1", False),
        ("node.id != n10", True),
        ("node.hostname==host-1", True),
        ("node.role==manager", False),
        ("node.labels.disk==ssd", True),
        ("node.labels.none==ssd", False),
        ("node.labels.none!=ssd", True),
        ("Node.Labels.disk==SSD", True),
        ("node.labels.DISK==ssd", False),
        ("ENGINE.labels.zone!=us-east-1a", False),
        ("node.labels.==ssd", False),
        ("engine.labels.zone==us-east-1a", True),
        ("node.platform.os==linux", True),
        ("node.platform.arch==x86_64", True),
        ("node.ip==10.0.1.0/24", True),
        ("node.ip!=10.0.1.1", False),
        ("node.ip==nonsense", False),
        ("node.unheard==of", False),
        ("no constraint", False),
    ],
)
def test_a_constraint_is_read_as_swarm_reads_it(constraint: str, met: bool) -> None:
    assert meets_constraint(node(), constraint) is met


@pytest.mark.parametrize(
    ("platforms", "fits"),
    [
        ([], True),
        ([{"OS": "linux", "Architecture": "amd64"}], True),
        ([{"OS": "linux", "Architecture": "aarch64"}], False),
        ([{"OS": "windows"}, {"OS": "linux"}], True),
    ],
)
def test_an_image_needs_its_platform(platforms: list[dict[str, str]], fits: bool) -> None:
    assert can_hold(node(), service(placement={"Platforms": platforms})) is fits


@pytest.mark.parametrize(
    "why_unfit", [node(availability="pause"), node(availability="drain"), node(state="down")]
)
def test_only_ready_and_active_nodes_may_hold_a_task(why_unfit: Node) -> None:
    assert not can_hold(why_unfit, service())


def test_without_limits_there_is_room_without_end_but_not_on_excluded_nodes() -> None:
    snapshot = Snapshot((node(1), node(2)), (), ())
    assert count_room(service(), snapshot, without={"n1"}) == math.inf
    assert count_room(service(), snapshot, without={"n1", "n2"}) == 0


def test_max_replicas_per_node_counts_the_service_alone() -> None:
    mine, other = service("s1", {"MaxReplicas": 2}), service("s2")
    here = node(1)
    snapshot = Snapshot((here, node(2)), (mine, other), (task("a", mine, here), task("b", other, here)))
    assert count_room(mine, snapshot, without=()) == 3


def test_a_host_port_fits_once_on_a_node() -> None:
    ports = {"Ports": [{"PublishMode": "host", "PublishedPort": 80, "TargetPort": 80}]}
    mine, other = service("s1", EndpointSpec=ports), service("s2", EndpointSpec=ports)
    here = node(1)
    snapshot = Snapshot((here, node(2), node(3)), (mine, other), (task("a", other, here),))
    assert count_room(mine, snapshot, without=()) == 2


def test_reservations_of_all_services_count_against_a_nodes_resources() -> None:
    reserved = {"Resources": {"Reservations": {"NanoCPUs": 500_000_000, "MemoryBytes": GIB}}}
    mine, other = service("s1", template=reserved), service("s2", template=reserved)
    here = node(1)
    taken = (task("a", other, here), replace(task("b", other, here), desired="shutdown"))
    assert count_room(mine, Snapshot((here,), (mine, other), taken), without=()) == 3


def with_plugins(*plugins: tuple[str, str]) -> Node:
    rows = [{"Type": kind, "Name": name} for kind, name in plugins]
    return read_node(
        {
            "ID": "n9",
            "Version": {"Index": 1},
            "Spec": {"Availability": "active"},
            "Status": {"State": "ready"},
            "Description": {"Engine": {"EngineVersion": "24.0.7", "Plugins": rows}},
        }
    )


BUILT_IN = (("Network", "overlay"), ("Volume", "local"))


@pytest.mark.parametrize(
    ("plugins", "why"),
    [
        ([("Volume", "rexray/ebs:latest"), ("Network", "weave")], ""),
        ([("Volume", "rexray/ebs:latest"), ("Network", "weave"), ("Log", "splunk")], ""),
        ([("Network", "weave")], "missing volume plugin rexray/ebs"),
        ([("Volume", "rexray/ebs:1.0"), ("Network", "weave")], "missing volume plugin rexray/ebs"),
        ([("Volume", "rexray/ebs:latest"), ("Volume", "weave")], "missing network plugin weave"),
        (
            [("Volume", "rexray/ebs:latest"), ("Network", "weave"), ("Log", "syslog")],
            "missing log plugin splunk",
        ),
    ],
)
def test_a_node_needs_the_plugins_of_volumes_networks_and_log(
    plugins: list[tuple[str, str]], why: str
) -> None:
    mounts = [
        {"Type": "volume", "VolumeOptions": {"DriverConfig": {"Name": "rexray/ebs"}}},
        {"Type": "volume", "VolumeOptions": {"DriverConfig": {"Name": "local"}}},
        {"Type": "volume"},
        {"Type": "bind", "Source": "/data"},
    ]
    mine = service(template={"ContainerSpec": {"Mounts": mounts}, "LogDriver": {"Name": "splunk"}})
    there = with_plugins(*BUILT_IN, *plugins)
    attached = replace(task("t", mine, there), drivers=("weave", "overlay"))
    snapshot = Snapshot((there,), (mine,), (attached,))
    assert why_unfit(there, mine, needed(mine, snapshot)) == why
    assert count_room(mine, snapshot, without=()) == (0 if why else math.inf)


def test_the_networks_of_an_earlier_time_need_no_plugin_any_more() -> None:
    mine, there = service(), with_plugins(*BUILT_IN)
    ended = replace(task("t", mine, there), drivers=("weave",), desired="shutdown", state="shutdown")
    assert count_room(mine, Snapshot((there,), (mine,), (ended,)), without=()) == math.inf


def test_a_node_whose_engine_says_nothing_is_not_judged_by_plugins() -> None:
    silent = replace(with_plugins(), plugins=None)
    mine = service(template={"LogDriver": {"Name": "splunk"}})
    attached = replace(task("t", mine, silent), drivers=("weave",))
    assert count_room(mine, Snapshot((silent,), (mine,), (attached,)), without=()) == math.inf


def test_generic_resources_count_against_what_a_node_has() -> None:
    gpus = [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}]
    mine = service("s1", template={"Resources": {"Reservations": {"GenericResources": gpus}}})
    here, there = replace(node(1), generic={"gpu": 5}), node(2)
    taken = (task("a", mine, here),)
    assert count_room(mine, Snapshot((here, there), (mine,), taken), without=()) == 1
