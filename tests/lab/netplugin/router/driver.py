"""Docker's side: the protocol of network drivers (libnetwork, remote), on the plugin's socket."""

from __future__ import annotations

import json
import socketserver
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.lab.netplugin.router.wires import Wires, names

SOCKET = Path("/run/docker/plugins/weave.sock")
Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    """Answers the engine."""

    protocol_version = "HTTP/1.1"
    answers: dict[str, Answer]

    def do_POST(self) -> None:
        """Answer one call; what the driver has no part in succeeds."""
        asked = json.loads(self._body() or b"{}")
        try:
            answer = self.answers[self.path](asked) if self.path in self.answers else {}
        except (OSError, LookupError) as error:
            answer = {"Err": str(error)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        text = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            text += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return text

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """Name nobody: a Unix socket has no address."""
        return ""


class Server(socketserver.ThreadingUnixStreamServer):
    """Takes what comes at once when many containers start."""

    daemon_threads = True
    request_queue_size = 64


def serve_driver(wires: Wires) -> None:
    """Answer the engine for ever."""

    def create_endpoint(asked: dict[str, Any]) -> dict[str, Any]:
        interface = asked.get("Interface") or {}
        found = wires.add_endpoint(asked["EndpointID"])
        # What the engine has filled in must not be answered.
        return {"Interface": {} if interface.get("MacAddress") else {"MacAddress": found}}

    def delete_endpoint(asked: dict[str, Any]) -> dict[str, Any]:
        wires.remove_endpoint(asked["EndpointID"])
        return {}

    def join(asked: dict[str, Any]) -> dict[str, Any]:
        return {"InterfaceName": {"SrcName": names(asked["EndpointID"])[1], "DstPrefix": "ethwe"}}

    Handler.answers = {
        "/Plugin.Activate": lambda _: {"Implements": ["NetworkDriver"]},
        "/NetworkDriver.GetCapabilities": lambda _: {"Scope": "global"},
        "/NetworkDriver.AllocateNetwork": lambda asked: {"Options": asked.get("Options") or {}},
        "/NetworkDriver.EndpointOperInfo": lambda _: {"Value": {}},
        "/NetworkDriver.CreateEndpoint": create_endpoint,
        "/NetworkDriver.DeleteEndpoint": delete_endpoint,
        "/NetworkDriver.Join": join,
    }
    SOCKET.unlink(missing_ok=True)
    Server(str(SOCKET), Handler).serve_forever()
