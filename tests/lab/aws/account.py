"""The AWS account of a lab: its root user's keys, and clients that use them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config

from tests.lab.aws.events import ACCOUNT, REGION
from tests.lab.state import Lab, LabError

SECRET = "test"  # noqa: S105  what ministack holds for its root user, whose key is the account's number


_making = threading.Lock()  # boto3 makes clients in one thread at a time only


@dataclass(frozen=True)
class Session:
    """Clients and resources of any AWS service at one endpoint, as the account's root user.

    They are made once: making one takes a hundred times what a request takes, and tests poll.
    """

    endpoint: str

    def client(self, service: str) -> Any:
        """Make a boto3 client, or hand out the one made before; threads may share it."""
        with _making:
            return _client(self.endpoint, service)

    def resource(self, service: str) -> Any:
        """Make a boto3 resource, or hand out the one that this thread made before."""
        with _making:
            return _resource(self.endpoint, service, threading.get_ident())


@lru_cache(maxsize=256)
def _client(endpoint: str, service: str) -> Any:
    make: Any = _boto().client
    return make(service, endpoint_url=endpoint, config=_config())


@lru_cache(maxsize=256)
def _resource(endpoint: str, service: str, _thread: int) -> Any:
    make: Any = _boto().resource
    return make(service, endpoint_url=endpoint, config=_config())


@lru_cache(maxsize=1)
def _boto() -> boto3.Session:
    return boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key=SECRET, region_name=REGION)


def session(lab: Lab) -> Session:
    """Clients for the lab's AWS; LabError where it has none."""
    if not lab.endpoint:
        raise LabError(f"lab {lab.name!r} runs without AWS; start it without --bare")
    return Session(lab.endpoint)


def environment(lab: Lab) -> dict[str, str]:
    """Copy this process's environment with all that is AWS in it pointing to the lab."""
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
