"""EC2: every instance of this stage that carries the cluster tag, of all clusters, in one call."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.protocol.checks import IPV4, WORD, show
from chalicelib.state.deployment import DEFAULT_STAGE
from chalicelib.state.instance import NAME, DiscoveredInstance, InstanceState, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeDef

CLUSTER_TAG = "swarmkeeper:cluster"
ROLE_TAG = "swarmkeeper:role"
STAGE_TAG = "swarmkeeper:stage"
GROUP_TAG = "aws:autoscaling:groupName"
LOGGER = logging.getLogger("swarmkeeper")  # that of observability.py, which adapters do not know
PAGE_INSTANCES = 1000  # EC2's maximum


@dataclass(frozen=True, slots=True)
class AwsEc2:
    """ports.Ec2 for one stage, through a client, which is made when first needed: most events never ask."""

    connect: Callable[[], EC2Client]
    stage: str

    def discover(self) -> tuple[DiscoveredInstance, ...]:
        """Answer all tagged instances of the stage, of all clusters; ended ones too while EC2 lists them.

        An instance with an invalid cluster name, or without a private IPv4 address, is left out, and named in
        the log.
        """
        own = (instance for instance in self._list_instances() if _stage(instance) == self.stage)
        return tuple(filter(None, map(_parse_instance, own)))

    def _list_instances(self) -> Iterator[InstanceTypeDef]:
        pages = (
            self.connect()
            .get_paginator("describe_instances")
            .paginate(
                Filters=self._filters(),
                PaginationConfig={"PageSize": PAGE_INSTANCES},
            )
        )
        for page in pages:
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]

    def _filters(self) -> list[FilterTypeDef]:
        """Write EC2's filters: none selects what lacks a tag, as instances of the default stage may."""
        filters: list[FilterTypeDef] = [{"Name": "tag-key", "Values": [CLUSTER_TAG]}]
        if self.stage != DEFAULT_STAGE:
            filters.append({"Name": f"tag:{STAGE_TAG}", "Values": [self.stage]})
        return filters


def _tags(instance: InstanceTypeDef) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}


def _stage(instance: InstanceTypeDef) -> str:
    return _tags(instance).get(STAGE_TAG, DEFAULT_STAGE)


def _parse_instance(instance: InstanceTypeDef) -> DiscoveredInstance | None:
    tags = _tags(instance)
    state = InstanceState(instance["State"]["Name"])
    cluster, address = tags.get(CLUSTER_TAG, ""), instance.get("PrivateIpAddress", "")
    if not NAME.fullmatch(cluster) or not (IPV4.fullmatch(address) or state is InstanceState.TERMINATED):
        fault = "its subnet gives it no private IPv4 address, which a swarm's node needs here"
        if not NAME.fullmatch(cluster):
            fault = f"a cluster is not called {show(cluster)}: use letters, digits, '.', '_', '-'"
        LOGGER.warning("%s is tagged %s, but left out: %s", instance["InstanceId"], CLUSTER_TAG, fault)
        return None
    role = Role.MANAGER if tags.get(ROLE_TAG) == Role.MANAGER.value else Role.WORKER
    launched = instance["LaunchTime"].timestamp() if "LaunchTime" in instance else 0.0
    fleet = tags.get("aws:ec2spot:fleet-request-id") or tags.get("aws:ec2:fleet-id") or ""
    group = tags.get(GROUP_TAG, "")
    return DiscoveredInstance(
        cluster,
        instance["InstanceId"],
        role,
        address,
        state,
        launched,
        fleet,
        group,
        zone=_word(instance.get("Placement", {}).get("AvailabilityZone", "")),
        kind=_word(instance.get("InstanceType", "")),
        lifecycle=_word(instance.get("InstanceLifecycle", "on-demand")),
    )


def _word(text: str) -> str:
    """Return what can become a label, else "": it travels in commands, which it must not spoil."""
    return text if WORD.fullmatch(text) else ""
