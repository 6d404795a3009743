"""DescribeInstances, read by botocore as a client would read it."""

from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from moto import mock_aws

from tests.lab.endpoint import instances
from tests.lab.endpoint.instances import Instance
from tests.lab.endpoint.messages import AwsError
from tests.lab.state import Host

MODEL = ServiceModel(Loader().load_service_model("ec2", "service-2"), "ec2")
TAGS = {"Name": "a", "swarmkeeper:cluster": "blue", "swarmkeeper:role": "worker"}
A = Instance(
    Host("a", "worker", "i-00000000000000001", "172.31.0.11", "us-east-1a", state="running", launched=1e9),
    TAGS,
)
B = Instance(
    Host(
        "b",
        "manager",
        "i-00000000000000002",
        "172.31.0.12",
        "us-east-1b",
        lifecycle="on-demand",
        state="pending",
    ),
    {**TAGS, "swarmkeeper:role": "manager"},
)
C = Instance(Host("c", "worker", "i-00000000000000003", "172.31.0.13", "us-east-1c", state="terminated"), {})
ALL = [A, B, C]


def parse(operation: str, text: str) -> dict[str, Any]:
    shape: Any = MODEL.operation_model(operation).output_shape
    answer: dict[str, Any] = create_parser("ec2").parse(
        {"body": text.encode(), "status_code": 200, "headers": {}}, shape
    )
    return answer


def described(form: dict[str, str], found: list[Instance] = ALL) -> dict[str, Any]:
    return parse("DescribeInstances", instances.describe(found, form))


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["InstanceId"][-1] for row in answer["Reservations"] for one in row["Instances"]]


def test_a_spot_instance_shows_all_that_a_product_needs() -> None:
    (instance,) = described({"InstanceId.1": A.host.instance})["Reservations"][0]["Instances"]
    assert instance["PrivateIpAddress"] == "172.31.0.11"
    assert instance["Placement"] == {"AvailabilityZone": "us-east-1a"}
    assert instance["InstanceType"] == "c5.large"
    assert instance["InstanceLifecycle"] == "spot"
    assert instance["State"] == {"Code": 16, "Name": "running"}
    assert instance["LaunchTime"].timestamp() == 1e9
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == TAGS


def test_an_on_demand_instance_has_no_life_cycle_and_a_terminated_one_no_address() -> None:
    on_demand, gone = (row["Instances"][0] for row in described({})["Reservations"][1:])
    assert "InstanceLifecycle" not in on_demand
    assert "PrivateIpAddress" not in gone


@mock_aws
def test_the_shape_is_one_that_moto_shows_too() -> None:
    ec2 = boto3.client("ec2", region_name="us-east-1")
    ec2.run_instances(
        ImageId="ami-0123456789abcdef0",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "a"}]}],
    )
    reservation: Any = ec2.describe_instances()["Reservations"][0]
    mine = described({})["Reservations"][0]
    assert set(mine) <= set(reservation)
    theirs = {name: type(value) for name, value in reservation["Instances"][0].items()}
    ours = {name: type(value) for name, value in mine["Instances"][0].items() if name != "InstanceLifecycle"}
    assert ours == {name: theirs[name] for name in ours}


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("instance-id", ["i-00000000000000001"], "1"),
        ("tag:swarmkeeper:cluster", ["blue"], "12"),
        ("tag:swarmkeeper:cluster", ["bl?e"], "12"),
        ("tag:swarmkeeper:cluster", ["green"], ""),
        ("tag:swarmkeeper:role", ["manager", "none"], "2"),
        ("tag-key", ["swarmkeeper:*"], "12"),
        ("tag:absent", ["*"], ""),
        ("instance-state-name", ["pending", "running"], "12"),
        ("instance-state-name", ["*ing"], "12"),
        ("instance-lifecycle", ["spot"], "13"),
        ("private-ip-address", ["172.31.0.13"], ""),
        ("tag:Name", ["[a]"], ""),
    ],
)
def test_filters_choose_as_ec2s_do(name: str, values: list[str], expected: str) -> None:
    form = {f"Filter.1.Value.{place}": value for place, value in enumerate(values, 1)}
    assert "".join(ids(described({"Filter.1.Name": name, **form}))) == expected


def test_all_filters_must_pass() -> None:
    form = {"Filter.1.Name": "tag-key", "Filter.1.Value.1": "Name"}
    more = {"Filter.2.Name": "instance-state-name", "Filter.2.Value.1": "running"}
    assert ids(described({**form, **more})) == ["1"]


def test_pages_follow_each_other() -> None:
    many = [replace(A, host=replace(A.host, instance=f"i-{n:017x}")) for n in range(12)]
    first = described({"MaxResults": "5"}, many)
    second = described({"MaxResults": "5", "NextToken": first["NextToken"]}, many)
    third = described({"MaxResults": "5", "NextToken": second["NextToken"]}, many)
    assert [len(ids(page)) for page in (first, second, third)] == [5, 5, 2]
    assert "NextToken" not in third


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"InstanceId.1": "i-0000000000000000f"}, "InvalidInstanceID.NotFound"),
        ({"InstanceId.1": "web"}, "InvalidInstanceID.Malformed"),
        ({"Filter.1.Name": "colour", "Filter.1.Value.1": "red"}, "InvalidParameterValue"),
        ({"InstanceId.1": A.host.instance, "MaxResults": "5"}, "InvalidParameterCombination"),
        ({"MaxResults": "4"}, "InvalidParameterValue"),
        ({"Owner.1": "self"}, "UnknownParameter"),
    ],
)
def test_what_ec2_refuses_is_refused(form: dict[str, str], code: str) -> None:
    with pytest.raises(AwsError) as refused:
        instances.describe(ALL, form)
    assert refused.value.code == code


def test_terminating_cuts_the_power_of_what_is_not_gone_yet() -> None:
    cut: list[Host] = []
    form = {"InstanceId.1": A.host.instance, "InstanceId.2": C.host.instance}
    answer = parse("TerminateInstances", instances.terminate(ALL, form, cut.append))
    states = [row["CurrentState"]["Name"] for row in answer["TerminatingInstances"]]
    assert states == ["shutting-down", "terminated"]
    assert cut == [A.host]
