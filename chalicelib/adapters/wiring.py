"""What the handlers reach outside of themselves, and how it is put together for real."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
from botocore.config import Config

from chalicelib.adapters.autoscaling import AwsAutoScaling
from chalicelib.adapters.dynamodb.discoveries import DynamoDiscoveries
from chalicelib.adapters.dynamodb.incidents import DynamoIncidents
from chalicelib.adapters.dynamodb.jobs import DynamoJobs
from chalicelib.adapters.dynamodb.lease import DynamoLease
from chalicelib.adapters.dynamodb.managers import DynamoManagers
from chalicelib.adapters.dynamodb.nodes import WRITERS, DynamoNodes
from chalicelib.adapters.dynamodb.settings import DynamoSettings
from chalicelib.adapters.dynamodb.table import Table
from chalicelib.adapters.ec2 import AwsEc2
from chalicelib.adapters.ports import World
from chalicelib.adapters.run_command import SsmHosts
from chalicelib.adapters.sns import SnsTopic
from chalicelib.environment import from_environment
from chalicelib.state.settings import Timeouts

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sns import SNSClient


# Botocore itself repeats throttled and broken calls with jitter, for some two seconds at most; what is still
# refused then comes back to delivery/, which knows the time budget. So no further library is needed for it.
CLIENT_CONFIG = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
)


def connected() -> World:
    """Answer the real world, for one invocation. Raises SettingError."""
    environment = from_environment(os.environ)
    world = _world(environment.table, environment.topic, environment.deployment.stage)
    timeouts = Timeouts(notice_s=environment.notice)
    return replace(world, timeouts=timeouts, deployment=environment.deployment, holder=uuid4().hex)


@cache
def _world(table: str, topic: str, stage: str) -> World:
    """Connect at the first event, as deploying imports the app too; kept while the container lives."""
    # Older signatures are refused in newer regions, and so is an address that does not name the region.
    signed = CLIENT_CONFIG.merge(Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
    many = CLIENT_CONFIG.merge(Config(max_pool_connections=WRITERS))
    records = Table(boto3.client("dynamodb", config=many), table)
    return World(
        nodes=DynamoNodes(records),
        managers=DynamoManagers(records),
        settings=DynamoSettings(records),
        incidents=DynamoIncidents(records),
        jobs=DynamoJobs(records),
        lease=DynamoLease(records),
        discoveries=DynamoDiscoveries(records),
        hosts=SsmHosts(boto3.client("ssm", config=CLIENT_CONFIG), boto3.client("s3", config=signed)),
        ec2=AwsEc2(_ec2, stage),
        autoscaling=AwsAutoScaling(_autoscaling),
        messages=SnsTopic(_sns, topic),
    )


@cache
def _autoscaling() -> AutoScalingClient:
    return boto3.client("autoscaling", config=CLIENT_CONFIG)


@cache
def _sns() -> SNSClient:
    return boto3.client("sns", config=CLIENT_CONFIG)


@cache
def _ec2() -> EC2Client:
    """Connect the largest of the clients: 0.1 s of a cold start. A page of it has a thousand instances."""
    return boto3.client("ec2", config=CLIENT_CONFIG.merge(Config(read_timeout=20)))
