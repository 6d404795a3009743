"""EC2's DescribeInstances and TerminateInstances for the hosts of a lab, in EC2's query protocol."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from tests.lab.aws.deploy import STAGE
from tests.lab.aws.events import ACCOUNT, stamp_ms
from tests.lab.endpoint.messages import AwsError
from tests.lab.state import Host, Lab

CODES: Mapping[str, int] = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_INSTANCE = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})\Z")
_PAGE = re.compile(r"(InstanceId|Filter)\.(\d+)(?:\.(Name|Value)(?:\.(\d+))?)?\Z")
_OTHERS = frozenset({"Action", "Version", "MaxResults", "NextToken", "DryRun"})


@dataclass(frozen=True)
class Instance:
    """One EC2 instance: a host and its tags."""

    host: Host
    tags: Mapping[str, str]


def instances(lab: Lab, groups: Mapping[str, str] = MappingProxyType({})) -> list[Instance]:
    """List the lab's hosts as instances, then the unmanaged ones that were put beside them.

    ``groups``: the Auto Scaling group of those that have one, which tags them.
    """
    own = [Instance(host, _tags(lab.cluster, host, groups.get(host.instance))) for host in lab.hosts]
    path = lab.directory / "unmanaged.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    return own + [Instance(Host(**row["host"]), row["tags"]) for row in rows]


def put_unmanaged(lab: Lab, host: Host, tags: Mapping[str, str]) -> None:
    """Let an instance show that is no host of this lab's cluster; tags say whose it is."""
    path = lab.directory / "unmanaged.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    new = path.with_suffix(".new")
    new.write_text(json.dumps([*rows, {"host": asdict(host), "tags": dict(tags)}]))
    new.replace(path)


def describe(found: list[Instance], form: Mapping[str, str]) -> str:
    """Answer DescribeInstances for these parameters."""
    asked, filters = _asked(form)
    if asked and "MaxResults" in form:
        raise AwsError(
            "InvalidParameterCombination", "The parameter instancesSet cannot be used with MaxResults"
        )
    chosen = [instance for instance in _named(found, asked) if _passes(instance, filters)]
    page, token = _page(chosen, form)
    answer = _answer("DescribeInstancesResponse")
    reservations = SubElement(answer, "reservationSet")
    for instance in page:
        _reservation(reservations, instance)
    if token:
        SubElement(answer, "nextToken").text = token
    return tostring(answer, encoding="unicode")


def terminate(found: list[Instance], form: Mapping[str, str], cut: Callable[[Host], None]) -> str:
    """Cut the power of each instance and answer TerminateInstances."""
    asked, _ = _asked(form)
    if not asked:
        raise AwsError("MissingParameter", "The request must contain the parameter InstanceId")
    answer = _answer("TerminateInstancesResponse")
    changes = SubElement(answer, "instancesSet")
    for instance in _named(found, asked):
        item = SubElement(changes, "item")
        SubElement(item, "instanceId").text = instance.host.instance
        _state(item, "previousState", instance.host.state)
        gone = instance.host.state == "terminated"
        _state(item, "currentState", "terminated" if gone else "shutting-down")
        if not gone:
            cut(instance.host)
    return tostring(answer, encoding="unicode")


def _tags(cluster: str, host: Host, group: str | None) -> dict[str, str]:
    own = {"Name": host.name, "swarmkeeper:cluster": cluster, "swarmkeeper:role": host.role}
    own |= {"swarmkeeper:stage": STAGE}
    return own | ({"aws:autoscaling:groupName": group} if group else {})


def _asked(form: Mapping[str, str]) -> tuple[list[str], dict[str, list[str]]]:
    ids: list[str] = []
    names: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for key, value in form.items():
        match = _PAGE.match(key)
        if match is None and key not in _OTHERS:
            raise AwsError("UnknownParameter", f"The parameter {key} is not recognized")
        if match and match[1] == "InstanceId":
            ids.append(value)
        elif match and match[3] == "Name":
            names[match[2]] = value
        elif match:
            values.setdefault(match[2], []).append(value)
    return ids, {name: values.get(number, []) for number, name in names.items()}


def _named(found: list[Instance], asked: list[str]) -> list[Instance]:
    for instance in asked:
        if not _INSTANCE.match(instance):
            raise AwsError("InvalidInstanceID.Malformed", f'Invalid id: "{instance}"')
    known = {instance.host.instance: instance for instance in found}
    if missing := [instance for instance in asked if instance not in known]:
        what = (
            f"instance ID '{missing[0]}' does"
            if len(missing) == 1
            else f"instance IDs '{', '.join(missing)}' do"
        )
        raise AwsError("InvalidInstanceID.NotFound", f"The {what} not exist")
    return [known[instance] for instance in dict.fromkeys(asked)] if asked else found


def _passes(instance: Instance, filters: Mapping[str, list[str]]) -> bool:
    return all(
        any(_like(shown, wanted) for shown in _shown(instance, name) for wanted in values)
        for name, values in filters.items()
    )


def _shown(instance: Instance, name: str) -> list[str]:
    host = instance.host
    if name.startswith("tag:"):
        return [instance.tags[name[4:]]] if name[4:] in instance.tags else []
    known = {
        "instance-id": [host.instance],
        "tag-key": list(instance.tags),
        "instance-state-name": [host.state],
        "instance-state-code": [str(CODES[host.state])],
        "instance-lifecycle": [host.lifecycle] if host.lifecycle == "spot" else [],
        "instance-type": [host.instance_type],
        "private-ip-address": _address(host),
        "availability-zone": [host.zone],
    }
    if name not in known:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return known[name]


def _like(shown: str, wanted: str) -> bool:
    # EC2 knows * and ? only: a bracket stands for itself.
    return fnmatch.fnmatchcase(shown, wanted.replace("[", "[[]"))


def _page(chosen: list[Instance], form: Mapping[str, str]) -> tuple[list[Instance], str]:
    start, size = form.get("NextToken", "0"), form.get("MaxResults", "1000")
    if not start.isdigit():
        raise AwsError("InvalidNextToken", "The specified token is not valid")
    if not size.isdigit() or not 5 <= int(size) <= 1000:
        raise AwsError("InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid")
    end = int(start) + int(size)
    return chosen[int(start) : end], str(end) if end < len(chosen) else ""


def _answer(name: str) -> Element:
    answer = Element(name, xmlns=_NAMESPACE)
    SubElement(answer, "requestId").text = "00000000-0000-0000-0000-000000000000"
    return answer


def _reservation(parent: Element, instance: Instance) -> None:
    reservation = SubElement(parent, "item")
    SubElement(reservation, "reservationId").text = "r-" + instance.host.instance[2:]
    SubElement(reservation, "ownerId").text = ACCOUNT
    item = SubElement(SubElement(reservation, "instancesSet"), "item")
    for name, value in _plain(instance.host).items():
        SubElement(item, name).text = value
    SubElement(SubElement(item, "placement"), "availabilityZone").text = instance.host.zone
    _state(item, "instanceState", instance.host.state)
    tags = SubElement(item, "tagSet")
    for key, value in instance.tags.items():
        tag = SubElement(tags, "item")
        SubElement(tag, "key").text = key
        SubElement(tag, "value").text = value


def _plain(host: Host) -> dict[str, str]:
    fields: dict[str, Any] = {
        "instanceId": host.instance,
        "imageId": "ami-0123456789abcdef0",
        "instanceType": host.instance_type,
        "launchTime": stamp_ms(host.launched),
        "architecture": "x86_64",
    }
    if host.lifecycle == "spot":  # the element is absent for on-demand instances
        fields["instanceLifecycle"] = "spot"
    if _address(host):
        fields["privateIpAddress"] = host.address
        fields["privateDnsName"] = f"ip-{host.address.replace('.', '-')}.ec2.internal"
    return fields


def _address(host: Host) -> list[str]:
    # A terminated instance keeps its record for a while, but no longer its address.
    return [] if host.state == "terminated" else [host.address]


def _state(parent: Element, name: str, state: str) -> None:
    element = SubElement(parent, name)
    SubElement(element, "code").text = str(CODES[state])
    SubElement(element, "name").text = state
