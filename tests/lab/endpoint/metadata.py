"""EC2's instance metadata service for the lab's hosts, IMDSv2 only; each host is known by its address."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.lab.aws import host_roles
from tests.lab.aws.events import REGION
from tests.lab.state import Host, Lab

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"  # noqa: S105  a header's name
LONGEST = 21_600  # seconds that a session may last
_ROOT = "/latest/meta-data/"
_KEYS = "iam/security-credentials/"
_RENEW_BEFORE_S = 300.0  # seconds before their end at which keys are renewed
Answer = tuple[int, str]


@dataclass
class InstanceMetadata:
    """The service. ``lab`` answers the lab as it is now, ``sts`` is a boto3 client of the account's root."""

    lab: Callable[[], Lab]
    sts: Any
    _sessions: dict[str, tuple[str, float]] = field(default_factory=dict)
    _keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, peer: str, headers: Any) -> Answer:
        """Open a session for the host at an address."""
        seconds = headers.get(TTL, "")
        if "X-Forwarded-For" in headers:
            return 403, ""
        if not seconds.isdigit() or not 1 <= int(seconds) <= LONGEST:
            return 400, ""
        token = secrets.token_urlsafe(42)
        with self._lock:
            self._sessions[token] = peer, time.time() + int(seconds)
        return 200, token

    def get(self, peer: str, path: str, headers: Any) -> Answer:
        """One value for the host at an address, as long as its session lasts."""
        with self._lock:
            owner, until = self._sessions.get(headers.get(TOKEN, ""), ("", 0.0))
        if owner != peer or time.time() > until:
            return 401, ""
        lab = self.lab()
        host = next((host for host in lab.hosts if host.address == peer), None)
        value = self._value(lab, host, path.removeprefix(_ROOT)) if host and path.startswith(_ROOT) else None
        return (404, "") if value is None else (200, value)

    def _value(self, lab: Lab, host: Host, name: str) -> str | None:
        role = host_roles.role_of(lab, host)
        if name == _KEYS + role:
            return json.dumps(self._credentials(lab, host))
        known = {
            "instance-id": host.instance,
            "local-ipv4": host.address,
            "local-hostname": f"{host.name}.ec2.internal",
            "instance-type": host.instance_type,
            "instance-life-cycle": host.lifecycle,
            "placement/availability-zone": host.zone,
            "placement/region": REGION,
            _KEYS.rstrip("/"): role,
            _KEYS: role,
        }
        return known.get(name)

    def _credentials(self, lab: Lab, host: Host) -> dict[str, Any]:
        """Keys of the host's role, new ones shortly before the old ones end."""
        with self._lock:
            kept = self._keys.get(host.instance)
            if (
                kept is None
                or datetime.fromisoformat(kept["Expiration"]).timestamp() < time.time() + _RENEW_BEFORE_S
            ):
                kept = self._keys[host.instance] = self._assume(lab, host)
            return kept

    def _assume(self, lab: Lab, host: Host) -> dict[str, Any]:
        arn = host_roles.arn(host_roles.role_of(lab, host))
        keys = self.sts.assume_role(RoleArn=arn, RoleSessionName=host.instance)["Credentials"]
        return {
            "Code": "Success",
            "LastUpdated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Type": "AWS-HMAC",
            "AccessKeyId": keys["AccessKeyId"],
            "SecretAccessKey": keys["SecretAccessKey"],
            "Token": keys["SessionToken"],
            "Expiration": keys["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class _Handler(BaseHTTPRequestHandler):
    service: InstanceMetadata

    def do_PUT(self) -> None:
        """Answer with a new session."""
        found = self.path == "/latest/api/token"
        self._send(self.service.open(self.client_address[0], self.headers) if found else (404, ""))

    def do_GET(self) -> None:
        """Answer with a value."""
        self._send(self.service.get(self.client_address[0], self.path, self.headers))

    def log_message(self, *_: Any) -> None:
        """Nothing is logged: answers hold keys."""

    def _send(self, answer: Answer) -> None:
        status, text = answer
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def serve(service: InstanceMetadata, address: str, port: int) -> ThreadingHTTPServer:
    """Serve in threads of their own, for as long as this process runs."""
    handler = type("MetadataHandler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer((address, port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
