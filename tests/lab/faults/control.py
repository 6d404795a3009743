"""Make things go wrong in a lab, and right again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab.aws import lab_api
from tests.lab.machines import machine, programs
from tests.lab.state import Lab

_PATH = "/_lab/faults"


def arm(lab: Lab, kind: str, match: str = "", **how: Any) -> dict[str, Any]:
    """Have a fault happen to what matches; ``how``: ``left`` times (-1: always), and its own fields."""
    armed: dict[str, Any] = lab_api.ask(lab, "POST", _PATH, {"kind": kind, "match": match, **how})
    return armed


def list_armed(lab: Lab) -> list[dict[str, Any]]:
    """List the faults that are still to happen."""
    found: list[dict[str, Any]] = lab_api.ask(lab, "GET", _PATH)
    return found


def disarm(lab: Lab, kind: str = "", match: str = "") -> list[dict[str, Any]]:
    """Let the faults of a kind, or with a match, happen no more, by default all; answers those."""
    gone: list[dict[str, Any]] = lab_api.ask(lab, "DELETE", _PATH, {"kind": kind, "match": match})
    return gone


@contextmanager
def tampered_agent(lab: Lab) -> Iterator[None]:
    """Replace the agent in S3, and delete the copies that managers have kept."""
    s3 = lab_api.connect(lab).client("s3")
    bucket = next(b["Name"] for b in s3.list_buckets()["Buckets"] if b["Name"].startswith("swarmkeeper-lab"))
    key = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"]
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=body + b"#")
    try:
        for host in lab.hosts:
            if host.role == "manager":
                programs.run([*machine.enter(host), "rm", "-rf", "/var/cache/swarmkeeper"])
        yield
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=body)
