"""What an agent's process takes to read a big swarm from its engine, and to plan it."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from tempfile import TemporaryDirectory
from typing import Any

from bench.plan.rows import node_row, service_row, task_row
from bootstrap.engine.client import Engine
from bootstrap.engine.snapshot import Snapshot
from bootstrap.planning.plan import choose_services, plan_services

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}


def through_engine(swarm: Snapshot) -> dict[str, float]:
    """Measure seconds (elapsed, busy, to read), peak in MiB and moves of a process of its own."""
    with TemporaryDirectory() as directory, _serving(swarm, Path(directory)) as socket:
        command = [sys.executable, "-m", "bench.plan.engine", f"unix://{socket}"]
        found: dict[str, float] = json.loads(subprocess.check_output(command))  # noqa: S603 ourselves
    return found


def main(socket: str) -> None:
    """Read, plan, and tell on stdout what that took."""
    start, begun = time.perf_counter(), time.process_time()
    swarm = Engine(socket).full_snapshot()
    read = time.perf_counter() - start
    moves = sum(plan.moves for plan in plan_services(swarm, choose_services(swarm)))
    taken = {"seconds": time.perf_counter() - start, "busy": time.process_time() - begun, "read": read}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**taken, "peak": peak, "moves": moves}))  # noqa: T201 the answer


@contextmanager
def _serving(swarm: Snapshot, directory: Path) -> Iterator[Path]:
    """Serve an engine that knows this swarm and nothing else, at a socket."""
    services = swarm.service_by_id
    (directory / "version").write_text(json.dumps(VERSION))
    _write(directory / "nodes", map(node_row, swarm.nodes))
    _write(directory / "services", map(service_row, swarm.services))
    _write(directory / "tasks", (task_row(task, services[task.service]) for task in swarm.tasks))
    socket = directory / "docker.sock"
    with ThreadingUnixStreamServer(str(socket), _handler(directory)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield socket
        server.shutdown()


def _write(file: Path, rows: Iterable[Any]) -> None:
    with file.open("w") as out:
        for at, row in enumerate(rows):
            out.write(("," if at else "[") + json.dumps(row, separators=(",", ":")))
        out.write("]\n")


def _handler(directory: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = directory / self.path.partition("?")[0].rpartition("/")[2]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(file.stat().st_size))
            self.end_headers()
            with file.open("rb") as rows:
                shutil.copyfileobj(rows, self.wfile)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    return Handler


if __name__ == "__main__":
    main(sys.argv[1])
