"""Start the router, with the addresses of the swarm's managers at its first start.

As the original: without the mark of an earlier start the engine is asked who the managers are; with it the
router goes on with the addresses that it kept, and its command line has none.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path

SENTINEL = Path("/restart.sentinel")
RANGE = os.environ.get("IPALLOC_RANGE") or "10.32.0.0/12"


class Engine(http.client.HTTPConnection):
    """The engine behind its socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")


def ask_managers() -> list[str]:
    """List the managers' addresses, as the engine knows them at this moment."""
    engine = Engine("engine")
    engine.request("GET", "/v1.26/info")
    answer = engine.getresponse()
    if answer.status != http.client.OK:
        raise SystemExit(f"the engine does not speak API 1.26: {answer.read().decode()}")
    swarm = json.load(answer).get("Swarm") or {}
    return sorted(row["Addr"].rpartition(":")[0] for row in swarm.get("RemoteManagers") or ())


def main() -> None:
    """Become the router."""
    flags = [
        "--port=6783",
        "--datapath=datapath",
        "--host-root=/host",
        "--proc-path=/host/proc",
        "--http-addr=127.0.0.1:6784",
        "--status-addr=0.0.0.0:6782",
        "--no-dns",
        f"--ipalloc-range={RANGE}",
        f"--nickname={socket.gethostname()}",
        "--db-prefix=/host/var/lib/weave/weave",
        "--plugin-v2",
    ]
    peers = [] if SENTINEL.exists() else ask_managers()
    os.execv(  # noqa: S606 - no shell is wanted
        "/usr/local/bin/python", ["/home/weave/weaver", "-m", "tests.lab.netplugin.router", *flags, *peers]
    )


if __name__ == "__main__":
    main()
