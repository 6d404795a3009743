"""Follows what containers print, and sends it on as Logspout does: RFC 5424 lines, by TCP."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

ENGINE = "/var/run/docker.sock"
HEADER = 8  # bytes before each piece of output: which stream, and how long it is
PRIORITY = {1: 14, 2: 11}
LOOK_S = 1.0
printed: queue.Queue[bytes] = queue.Queue(10_000)


class Engine(http.client.HTTPConnection):
    """A connection to the engine's socket."""

    def __init__(self) -> None:
        super().__init__("engine")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(ENGINE)


def ask(path: str) -> Any:
    connection = Engine()
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def pieces(container: str, since: int) -> Iterator[tuple[int, bytes]]:
    connection = Engine()
    connection.request("GET", f"/containers/{container}/logs?follow=1&stdout=1&stderr=1&since={since}")
    answer = connection.getresponse()
    while head := answer.read(HEADER):
        yield head[0], answer.read(int.from_bytes(head[4:], "big"))


def follow(container: str, since: int) -> None:
    about = ask(f"/containers/{container}/json")
    if about["Config"]["Tty"] or about["Name"].startswith("/logspout"):
        return
    name, pid = about["Name"].lstrip("/"), about["State"]["Pid"]
    for stream, text in pieces(container, since):
        for line in text.decode(errors="replace").splitlines():
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            head = f"<{PRIORITY.get(stream, 14)}>1 {now} {container[:12]} {name} {pid} - - "
            printed.put(f"{head}{line}\n".encode())


def watch() -> None:
    followed: set[str] = set()
    began = int(time.time())
    while True:
        for row in ask("/containers/json"):
            if row["Id"] not in followed:
                followed.add(row["Id"])
                threading.Thread(target=follow, args=(row["Id"], began), daemon=True).start()
        time.sleep(LOOK_S)


def send(host: str, port: int) -> None:
    line = b""
    while True:
        try:
            with socket.create_connection((host, port), timeout=10) as there:
                sys.stderr.write("connected\n")
                while True:
                    line = line or printed.get()
                    there.sendall(line)
                    line = b""
        except OSError:
            time.sleep(1)


def main() -> None:
    host, _, port = sys.argv[1].rpartition("//")[2].partition(":")
    threading.Thread(target=watch, daemon=True).start()
    send(host, int(port))


if __name__ == "__main__":
    main()
