"""What EC2 shows: every instance that carries the cluster tag, in one paginated call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.cluster import NAME, InstanceState, Role, Sighting
from chalicelib.protocol import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

CLUSTER_TAG = "swarmkeeper:cluster"
ROLE_TAG = "swarmkeeper:role"
PAGE = 1000  # EC2's maximum


@dataclass(frozen=True, slots=True)
class Ec2Fleet:
    """EC2 through its client, which is made when it is first needed: most events never ask."""

    connect: Callable[[], EC2Client]

    def census(self) -> tuple[Sighting, ...]:
        """All tagged instances of all clusters, ended ones too while EC2 lists them.

        An instance with a cluster name that is none, or without a private address, is left out.
        """
        return tuple(filter(None, map(_sighting, self._instances())))

    def _instances(self) -> Iterator[InstanceTypeDef]:
        pages = (
            self.connect()
            .get_paginator("describe_instances")
            .paginate(
                Filters=[{"Name": "tag-key", "Values": [CLUSTER_TAG]}], PaginationConfig={"PageSize": PAGE}
            )
        )
        for page in pages:
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]


def _sighting(instance: InstanceTypeDef) -> Sighting | None:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    state = InstanceState(instance["State"]["Name"])
    cluster, address = tags.get(CLUSTER_TAG, ""), instance.get("PrivateIpAddress", "")
    if not NAME.fullmatch(cluster) or not (ADDRESS.match(address) or state is InstanceState.TERMINATED):
        return None
    role = Role.MANAGER if tags.get(ROLE_TAG) == Role.MANAGER.value else Role.WORKER
    launched = instance["LaunchTime"].timestamp() if "LaunchTime" in instance else 0.0
    return Sighting(cluster, instance["InstanceId"], role, address, state, launched)
