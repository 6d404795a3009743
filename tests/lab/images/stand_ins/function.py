"""A function that fails on demand, and takes traces as Zipkin does; and who calls it in chains.

GET / answers or fails with 503; GET /slow takes a while; POST /fail?0.5 sets which share fails; POST
/api/v2/spans takes spans, which GET /spans counts.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SLOW_S = 0.5
share = {"fail": float(os.environ.get("FAIL", "0"))}
spans: list[Any] = []


class Function(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/spans":
            return self.answer(200, str(len(spans)))
        if self.path == "/slow":
            time.sleep(SLOW_S)
        elif random.random() < share["fail"]:  # noqa: S311 - no secret
            return self.answer(503, "failed on demand")
        return self.answer(200, socket.gethostname())

    def do_POST(self) -> None:
        body = self.body()
        if self.path.startswith("/fail?"):
            share["fail"] = float(self.path.partition("?")[2])
        elif self.path == "/api/v2/spans":
            spans.extend(json.loads(body))
        self.answer(202, "")

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def read(method: str, url: str) -> str:
    host, _, path = url.partition("/")
    there = http.client.HTTPConnection(host, timeout=30)
    there.request(method, f"/{path}")
    return there.getresponse().read().decode()


def call(url: str) -> int:
    host, _, path = url.partition("/")
    there = http.client.HTTPConnection(host, timeout=30)
    try:
        there.request("GET", f"/{path}")
        return there.getresponse().status
    except OSError:
        return 0
    finally:
        there.close()


def chains(url: str, length: int, number: int) -> None:
    """Go through chains of calls; one is whole where each call in it was answered."""
    whole = sum(all(call(url) == http.HTTPStatus.OK for _ in range(length)) for _ in range(number))
    sys.stdout.write(json.dumps({"whole": whole, "of": number}))


def at_once(url: str, number: int) -> None:
    """Call many times at once; say how often which status came."""
    said: Counter[int] = Counter()
    threads = [threading.Thread(target=lambda: said.update([call(url)])) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["chains", url, length, number]:
            chains(url, int(length), int(number))
        case ["get", url]:
            sys.stdout.write(read("GET", url))
        case ["post", url]:
            read("POST", url)
        case ["at-once", url, number]:
            at_once(url, int(number))
        case _:
            ThreadingHTTPServer(("", 80), Function).serve_forever()
