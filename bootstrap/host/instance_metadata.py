"""The instance metadata service: which EC2 instance this host is, and the credentials of its role."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from bootstrap.errors import AgentError
from chalicelib.protocol import checks
from chalicelib.protocol.messages import INSTANCE

SERVICE = "http://169.254.169.254"
ANSWER_TIMEOUT_S = 2
SESSION_S = 300
# It limits how often it is asked, and a host that has just started is busy.
RETRIES = Retry(3, allowed_methods=None, status_forcelist=(429, 500, 503), backoff_factor=0.3)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+\Z")


class MetadataError(AgentError):
    """The instance metadata service does not answer, or not as EC2's does; the text says what to fix."""


@dataclass(frozen=True)
class Identity:
    """Which instance this host is; ``lifecycle`` is spot or on-demand."""

    instance: str
    address: str
    zone: str
    kind: str
    lifecycle: str


@dataclass(frozen=True)
class Credentials:
    """Temporary keys of the instance's role; never shown."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False)


class Metadata:
    """The service, spoken to as IMDSv2 demands. Every method raises MetadataError."""

    def __init__(self, service: str = SERVICE) -> None:
        self._service = service

    def identity(self) -> Identity:
        """Tell which instance this host is."""
        instance = self._get("instance-id")
        if not INSTANCE.match(instance):
            raise MetadataError(f"{self._service} says that this host is {instance[:30]!r}, no EC2 instance")
        return Identity(
            instance=instance,
            address=self._get_checked("local-ipv4", checks.address),
            zone=self._get_checked("placement/availability-zone", checks.word),
            kind=self._get_checked("instance-type", checks.word),
            lifecycle=self._get_checked("instance-life-cycle", checks.word, missing="on-demand"),
        )

    def is_warm(self) -> bool:
        """Tell whether the Auto Scaling group of this host keeps it in a warm pool, or is about to."""
        return self._get("autoscaling/target-lifecycle-state", missing="").startswith("Warmed:")

    def region(self) -> str:
        """Read the region that this host is in."""
        region = self._get("placement/region")
        if not _REGION.match(region):
            raise MetadataError(f"{self._service} says that this host is in {region[:30]!r}, no region")
        return region

    def credentials(self) -> Credentials:
        """Read the keys of this host's role, as they are at the moment."""
        role = self._get("iam/security-credentials/", missing="").partition("\n")[0].strip()
        if not role:
            raise MetadataError("this host has no instance profile: attach one that may use its join token")
        try:
            row = json.loads(self._get(f"iam/security-credentials/{role}"))
            return Credentials(row["AccessKeyId"], row["SecretAccessKey"], row["Token"])
        except (ValueError, KeyError, TypeError) as error:
            # Not the text: a part of it may be a secret.
            raise MetadataError(
                f"the credentials of role {role} are not as expected ({type(error).__name__})"
            ) from None

    @cached_property
    def _session(self) -> str:
        wish = {"X-aws-ec2-metadata-token-ttl-seconds": str(SESSION_S)}
        return self._ask("PUT", "/latest/api/token", wish).text

    def _get_checked(self, name: str, check: checks.Check, missing: str | None = None) -> str:
        value = self._get(name, missing)
        if wanted := check(value):
            raise MetadataError(f"{self._service} says that {checks.wrong(name, wanted, value)}")
        return value

    def _get(self, name: str, missing: str | None = None) -> str:
        """Get one value; ``missing`` is the answer where the service has no such value."""
        wish = {"X-aws-ec2-metadata-token": self._session}
        answer = self._ask("GET", f"/latest/meta-data/{name}", wish)
        if answer.status_code == requests.codes.not_found and missing is not None:
            return missing
        if not answer.ok:
            raise MetadataError(f"the metadata service answers {answer.status_code} for {name}")
        return answer.text.strip()

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> requests.Response:
        try:
            with requests.Session() as session:
                session.trust_env = False  # a proxy is never the way to the metadata service
                session.mount(self._service, HTTPAdapter(max_retries=RETRIES))
                return session.request(
                    method,
                    self._service + path,
                    headers=headers,
                    timeout=ANSWER_TIMEOUT_S,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            raise MetadataError(
                f"the metadata service at {self._service} does not answer within {ANSWER_TIMEOUT_S} s "
                f"({type(error).__name__}): enable it for this instance"
            ) from None
