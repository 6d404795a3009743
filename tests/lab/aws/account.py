"""The AWS account of a lab: its root user's keys, and clients that use them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from tests.lab.aws.events import ACCOUNT, REGION
from tests.lab.state import Lab, LabError

SECRET = "test"  # noqa: S105  what ministack holds for its root user, whose key is the account's number


@dataclass(frozen=True)
class Session:
    """Clients and resources of any AWS service at one endpoint, as the account's root user."""

    endpoint: str

    def client(self, service: str) -> Any:
        """A boto3 client."""
        make: Any = self._boto().client
        return make(service, endpoint_url=self.endpoint, config=_config())

    def resource(self, service: str) -> Any:
        """A boto3 resource."""
        make: Any = self._boto().resource
        return make(service, endpoint_url=self.endpoint, config=_config())

    def _boto(self) -> boto3.Session:
        return boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key=SECRET, region_name=REGION)


def session(lab: Lab) -> Session:
    """Clients for the lab's AWS; LabError where it has none."""
    if not lab.endpoint:
        raise LabError(f"lab {lab.name!r} runs without AWS; start it without --bare")
    return Session(lab.endpoint)


def environment(lab: Lab) -> dict[str, str]:
    """This process's environment with all that is AWS in it pointing to the lab."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "AWS_ENDPOINT_URL": session(lab).endpoint,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _config() -> Config:
    return Config(retries={"mode": "standard", "total_max_attempts": 3}, s3={"addressing_style": "path"})
