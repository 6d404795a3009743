"""Takes lines on the ports of a logstash.conf, with TCP and UDP, and hands them to its store, some at a time.

Of the file it reads ports, hosts, index, user and what `add_field` adds; one that is no pipeline ends it.
A line that it has taken it keeps in memory until the store has it.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import queue
import re
import signal
import socketserver
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

PIPELINE = Path("/usr/share/logstash/pipeline/logstash.conf")
LINE = re.compile(r"<(\d+)>1 (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) (.*)", re.DOTALL)
FIELDS = ("priority", "time", "container", "program", "pid", "id", "data", "line")
taken: queue.Queue[str] = queue.Queue()
over = threading.Event()


class Pipeline:
    """What a logstash.conf says."""

    def __init__(self, text: str) -> None:
        text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
        outside = re.sub(r'"[^"]*"', "", text)
        if outside.count("{") != outside.count("}") or not re.search(r"\boutput\s*\{", text):
            sys.exit("logstash.conf: it is no pipeline")
        self.ports = {kind: int(port) for kind, port in re.findall(r"(tcp|udp)\s*\{\s*port => (\d+)", text)}
        self.store = re.findall(r'hosts => \["([^"]+)"\]', text)[0]
        self.index = re.findall(r'index => "([^"]+)"', text)[0]
        self.user = next(iter(re.findall(r'user => "([^"]+)"', text)), "")
        self.added = dict(re.findall(r'add_field => \{ "([^"]+)" => "([^"]+)" \}', text))

    def document(self, line: str) -> dict[str, str]:
        found = LINE.match(line)
        read = dict(zip(FIELDS, found.groups(), strict=True)) if found else {"tags": "_grokparsefailure"}
        return {"message": line, "@timestamp": datetime.now(UTC).isoformat(), **read, **self.added}

    def send(self, lines: list[str]) -> None:
        index = self.index.replace("%{+YYYY.MM.dd}", datetime.now(UTC).strftime("%Y.%m.%d"))
        rows = [row for line in lines for row in ({"create": {"_index": index}}, self.document(line))]
        body = "".join(json.dumps(row) + "\n" for row in rows).encode()
        headers = {"Content-Type": "application/x-ndjson"}
        if self.user:
            word = f"{self.user}:{os.environ['LOGSTASH_PASSWORD']}"
            headers["Authorization"] = f"Basic {base64.b64encode(word.encode()).decode()}"
        there = http.client.HTTPConnection(self.store.rpartition("//")[2], timeout=20)
        there.request("POST", "/_bulk", body, headers)
        said = there.getresponse()
        if said.status != http.HTTPStatus.OK or json.loads(said.read()).get("errors"):
            raise ConnectionError(f"{said.status} {said.reason}")


class Tcp(socketserver.StreamRequestHandler):
    """Lines of one sender."""

    def handle(self) -> None:
        for line in self.rfile:
            taken.put(line.decode(errors="replace").rstrip("\n"))


class Udp(socketserver.BaseRequestHandler):
    """One line."""

    def handle(self) -> None:
        taken.put(self.request[0].decode(errors="replace").rstrip("\n"))


class TcpServer(socketserver.ThreadingTCPServer):
    """Takes lines of many senders."""

    allow_reuse_address = daemon_threads = True


def hand_over(pipeline: Pipeline) -> None:
    while not (over.is_set() and taken.empty()):
        try:
            lines = [taken.get(timeout=0.3)]
        except queue.Empty:
            continue
        while len(lines) < 200 and not taken.empty():
            lines.append(taken.get())
        while True:
            try:
                pipeline.send(lines)
                break
            except (OSError, http.client.HTTPException) as error:
                sys.stderr.write(f"the store takes nothing: {error}\n")
                time.sleep(1)
    os._exit(0)


def main() -> None:
    pipeline = Pipeline(PIPELINE.read_text())
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    for kind, server in (("tcp", TcpServer), ("udp", socketserver.ThreadingUDPServer)):
        if kind in pipeline.ports:
            handler = Tcp if kind == "tcp" else Udp
            listening = server(("", pipeline.ports[kind]), handler)
            threading.Thread(target=listening.serve_forever, daemon=True).start()
    hand_over(pipeline)


if __name__ == "__main__":
    main()
