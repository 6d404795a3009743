"""What the handlers reach outside of themselves, and how it is put together for real."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
from botocore.config import Config

from chalicelib.adapters.autoscaling import AwsAutoScaling
from chalicelib.adapters.dynamodb.clusters import DynamoClusters
from chalicelib.adapters.dynamodb.discoveries import DynamoDiscoveries
from chalicelib.adapters.dynamodb.incidents import DynamoIncidents
from chalicelib.adapters.dynamodb.jobs import DynamoJobs
from chalicelib.adapters.dynamodb.lease import DynamoLease
from chalicelib.adapters.dynamodb.managers import DynamoManagers
from chalicelib.adapters.dynamodb.nodes import DynamoNodes
from chalicelib.adapters.dynamodb.settings import DynamoSettings
from chalicelib.adapters.dynamodb.table import Table
from chalicelib.adapters.ec2 import AwsEc2
from chalicelib.adapters.patience import Patience
from chalicelib.adapters.ports import World
from chalicelib.adapters.run_command import SsmHosts
from chalicelib.adapters.sns import SnsTopic
from chalicelib.environment import from_environment
from chalicelib.state.settings import Timeouts

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sns import SNSClient


# Botocore itself repeats throttled and broken calls of Run Command with jitter, for some two seconds at most;
# what is still refused then comes back to delivery/, which has the lease and asks another manager.
CLIENT_CONFIG = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
)
# Calls of all other services are repeated by patience.py, which knows how much time the invocation has.
PATIENT_CONFIG = CLIENT_CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
EC2_PATIENCE_S = 20.0  # less than a discovery is claimed for; the tick has other things to do without it
SIDE_PATIENCE_S = 10.0  # for what the next tick makes up for


def connected() -> World:
    """Answer the real world, for one invocation. Raises SettingError."""
    environment = from_environment(os.environ)
    patience, world = _world(environment.table, environment.topic, environment.deployment.stage)
    patience.begin()
    timeouts = Timeouts(notice_s=environment.notice)
    return replace(world, timeouts=timeouts, deployment=environment.deployment, holder=uuid4().hex)


@cache
def _world(table: str, topic: str, stage: str) -> tuple[Patience, World]:
    """Connect at the first event, as deploying imports the app too; kept while the container lives."""
    patience = Patience()
    return patience, connect(table, topic, stage, patience)


def connect(table: str, topic: str, stage: str, patience: Patience) -> World:
    """Make the clients; calls that AWS refuses for now are repeated as ``patience`` allows."""
    # Older signatures are refused in newer regions, and so is an address that does not name the region.
    signed = CLIENT_CONFIG.merge(Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
    database = boto3.client("dynamodb", config=PATIENT_CONFIG)
    patience.watch(database)
    records = Table(database, table, patience)
    return World(
        nodes=DynamoNodes(records),
        clusters=DynamoClusters(records),
        managers=DynamoManagers(records),
        settings=DynamoSettings(records),
        incidents=DynamoIncidents(records),
        jobs=DynamoJobs(records),
        lease=DynamoLease(records),
        discoveries=DynamoDiscoveries(records),
        hosts=SsmHosts(boto3.client("ssm", config=CLIENT_CONFIG), boto3.client("s3", config=signed)),
        ec2=AwsEc2(partial(_ec2, patience), stage),
        autoscaling=AwsAutoScaling(partial(_autoscaling, patience)),
        messages=SnsTopic(partial(_sns, patience), topic),
        clock=patience.clock,
    )


@cache
def _autoscaling(patience: Patience) -> AutoScalingClient:
    client = boto3.client("autoscaling", config=PATIENT_CONFIG)
    patience.watch(client, SIDE_PATIENCE_S)
    return client


@cache
def _sns(patience: Patience) -> SNSClient:
    client = boto3.client("sns", config=PATIENT_CONFIG)
    patience.watch(client, SIDE_PATIENCE_S)
    return client


@cache
def _ec2(patience: Patience) -> EC2Client:
    """Connect to EC2, only when asked: this client takes 0.1 s of a cold start."""
    client = boto3.client("ec2", config=PATIENT_CONFIG.merge(Config(read_timeout=20)))
    patience.watch(client, EC2_PATIENCE_S)
    return client
