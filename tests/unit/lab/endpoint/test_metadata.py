"""The lab's metadata service is IMDSv2: no session, no answer; each host learns of itself only."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.lab.endpoint.metadata import TOKEN, TTL, InstanceMetadata
from tests.lab.state import Host, Lab

HOSTS = (
    Host("ip-172-31-0-11", "manager", "i-0123456789abcdef0", "172.31.0.11", "us-east-1a"),
    Host("ip-172-31-0-14", "worker", "i-0123456789abcdef1", "172.31.0.14", "us-east-1b"),
)
WORKER = "172.31.0.14"


class Sts:
    """Gives out keys that tell whose they are."""

    lasts = timedelta(hours=1)
    asked = 0

    def assume_role(self, **asked: str) -> dict[str, Any]:
        self.asked += 1
        keys = {
            "AccessKeyId": asked["RoleArn"],
            "SecretAccessKey": "s",
            "SessionToken": asked["RoleSessionName"],
        }
        return {"Credentials": {**keys, "Expiration": datetime.now(UTC) + self.lasts}}


@pytest.fixture
def service() -> InstanceMetadata:
    return InstanceMetadata(lambda: Lab("blue", 0, "blue", HOSTS), Sts())


def get(service: InstanceMetadata, name: str, peer: str = WORKER) -> tuple[int, str]:
    _, token = service.open(peer, {TTL: "60"})
    return service.get(peer, f"/latest/meta-data/{name}", {TOKEN: token})


def test_a_host_learns_of_itself(service: InstanceMetadata) -> None:
    assert get(service, "instance-id") == (200, "i-0123456789abcdef1")
    assert get(service, "placement/availability-zone") == (200, "us-east-1b")
    assert get(service, "iam/security-credentials/") == (200, "blue-worker")
    assert get(service, "no-such-thing") == (404, "")
    assert get(service, "instance-id", peer="172.31.0.99") == (404, "")


def test_an_instance_that_is_only_tagged_has_the_role_that_it_was_launched_with() -> None:
    host = replace(HOSTS[0], profile="stranger")
    service = InstanceMetadata(lambda: Lab("blue", 0, "blue", (host,)), Sts())
    assert get(service, "iam/security-credentials/", host.address) == (200, "stranger")
    keys = json.loads(get(service, "iam/security-credentials/stranger", host.address)[1])
    assert keys["AccessKeyId"].endswith(":role/stranger")


def test_without_a_session_of_its_own_nobody_learns_anything(service: InstanceMetadata) -> None:
    path = "/latest/meta-data/instance-id"
    _, token = service.open(WORKER, {TTL: "60"})
    assert service.get(WORKER, path, {})[0] == 401
    assert service.get("172.31.0.11", path, {TOKEN: token})[0] == 401
    assert service.open(WORKER, {})[0] == 400
    assert service.open(WORKER, {TTL: "21601"})[0] == 400
    assert service.open(WORKER, {TTL: "60", "X-Forwarded-For": "1.2.3.4"})[0] == 403


def test_the_keys_are_of_the_hosts_own_role_and_are_renewed_in_time(service: InstanceMetadata) -> None:
    for _ in range(2):
        keys = json.loads(get(service, "iam/security-credentials/blue-worker")[1])
    assert keys["AccessKeyId"].endswith(":role/blue-worker")
    assert keys["Token"] == "i-0123456789abcdef1"  # noqa: S105 as Sts gives it out
    assert service.sts.asked == 1
    assert get(service, "iam/security-credentials/blue-manager") == (404, "")
    service.sts.lasts = timedelta(minutes=4)
    for peer in ("172.31.0.11", "172.31.0.11"):
        get(service, "iam/security-credentials/blue-manager", peer)
    assert service.sts.asked == 3
