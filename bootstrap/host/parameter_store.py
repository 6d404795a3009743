"""Parameter Store, which holds a cluster's join tokens: used with the keys of the host's own role."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from requests_aws4auth import AWS4Auth

from bootstrap.errors import AgentError
from bootstrap.host.instance_metadata import Metadata, MetadataError

ENVIRONMENT = Path("/etc/swarmkeeper/environment")
ENDPOINTS = ("AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL")  # as in the AWS tools, the more exact one first
ANSWER_TIMEOUT_S = 5
MISSING = "ParameterNotFound"
THROTTLED = frozenset({"ThrottlingException", "TooManyUpdates", "InternalServerError"})
BACKOFFS_S = (1.0, 2.0, 4.0, 8.0)  # at most


class ParameterError(AgentError):
    """Parameter Store refused or did not answer; the text says what to fix, and holds no value."""


class ThrottledError(ParameterError):
    """Too many ask at once, as when a whole fleet joins."""


def parameter_name(cluster: str, role: str) -> str:
    """Name the parameter that holds a role's join token."""
    return f"/swarmkeeper/{cluster}/join-token/{role}"


class Parameters:
    """Parameter Store in this host's region. Every method raises ParameterError."""

    def __init__(self, metadata: Metadata, environment: Path = ENVIRONMENT) -> None:
        self._metadata = metadata
        self._environment = environment

    def get(self, name: str) -> str:
        """Read a parameter's value, "" where there is no such parameter."""
        answer = self._call("GetParameter", name, {"Name": name, "WithDecryption": True})
        return str(answer["Parameter"]["Value"]) if answer else ""

    def put(self, name: str, value: str) -> None:
        """Store a value, encrypted, in place of an older one."""
        self._call(
            "PutParameter", name, {"Name": name, "Value": value, "Type": "SecureString", "Overwrite": True}
        )

    def _call(self, operation: str, name: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Call one operation, again while it is throttled; {} where there is no such parameter."""
        for back_off_s in BACKOFFS_S:
            try:
                return self._once(operation, name, message)
            except ThrottledError:
                time.sleep(back_off_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        return self._once(operation, name, message)

    def _once(self, operation: str, name: str, message: Mapping[str, Any]) -> dict[str, Any]:
        kind, words = "", ""
        try:
            answer = self._post(operation, message)
            if answer.ok:
                found: dict[str, Any] = answer.json()
                return found
            refusal = answer.json()
            kind = str(refusal.get("__type", "")).rpartition("#")[2]
            words = str(refusal.get("message") or refusal.get("Message") or "")
        except (requests.RequestException, MetadataError, ValueError, OSError) as error:
            why = str(error) if isinstance(error, MetadataError) else type(error).__name__
            raise ParameterError(f"{operation} of {name} did not work: {why}") from None
        if kind == MISSING:
            return {}
        if kind in THROTTLED:
            raise ThrottledError(f"{operation} of {name} is throttled ({kind} {words}): try again later")
        fix = f": let this host's role do ssm:{operation} on it" if "AccessDenied" in kind else ""
        raise ParameterError(f"{operation} of {name} was refused ({kind} {words}){fix}")

    def _post(self, operation: str, message: Mapping[str, Any]) -> requests.Response:
        region, keys = self._metadata.region(), self._metadata.credentials()
        suffix = ".cn" if region.startswith("cn-") else ""
        endpoint = self._endpoint() or f"https://ssm.{region}.amazonaws.com{suffix}/"
        headers = {"X-Amz-Target": f"AmazonSSM.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        signed = AWS4Auth(keys.key, keys.secret, region, "ssm", session_token=keys.token)
        body = json.dumps(message).encode()
        return requests.post(endpoint, body, headers=headers, auth=signed, timeout=ANSWER_TIMEOUT_S)

    def _endpoint(self) -> str:
        """Find the address of Parameter Store, if it is another than usual, as that of a VPC endpoint."""
        settings = {**_lines(self._environment), **os.environ}
        return next((settings[name].rstrip("/") + "/" for name in ENDPOINTS if settings.get(name)), "")


def _lines(path: Path) -> dict[str, str]:
    """Read the NAME=value lines of a file; {} where there is none."""
    try:
        rows = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (row.partition("=") for row in rows if "=" in row and not row.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}
