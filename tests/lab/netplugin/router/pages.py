"""The status pages, laid out as Weave Net's, and the two orders."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

from tests.lab.netplugin.router.mesh import Mesh

STATUS = """\
        Version: 2.8.1 (a stand-in of the lab)

        Service: router
       Protocol: weave 1..2
           Name: {name}({nick})
     Encryption: disabled
  PeerDiscovery: enabled
        Targets: {targets}
    Connections: {connections}
          Peers: {peers}
 TrustedSubnets: none

        Service: ipam
         Status: idle
          Range: {range}
  DefaultSubnet: {range}

        Service: plugin (v2)
"""


def write_status(mesh: Mesh) -> str:
    """Write the page ``/status``."""
    with mesh.lock:
        counts = Counter(state for _, _, state, _ in mesh.rows())
        total, peers, links = sum(counts.values()), 1 + len(mesh.peers), mesh.count_connections()
        parts = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        return STATUS.format(
            name=mesh.name,
            nick=mesh.nick,
            targets=len(mesh.targets),
            connections=f"{total} ({parts})" if total else "0",
            peers=f"{peers} (with {links} established connections)" if links else str(peers),
            range=mesh.range,
        )


def write_connections(mesh: Mesh) -> str:
    """Write the page ``/status/connections``."""
    return "".join(f"{arrow} {place:<21} {state:<11} {text}\n" for arrow, place, state, text in mesh.rows())


PAGES: dict[str, Callable[[Mesh], str]] = {
    "/status": write_status,
    "/status/connections": write_connections,
}


class Handler(BaseHTTPRequestHandler):
    """Answers people and programs."""

    mesh: Mesh
    takes_orders = False

    def do_GET(self) -> None:
        """Answer a page."""
        if self.path in PAGES:
            self._answer(200, PAGES[self.path](self.mesh))
        else:
            self._answer(404, "404 page not found\n")

    def do_DELETE(self) -> None:
        """Take over a peer's addresses; 200 whoever that is."""
        nick = unquote(self.path.removeprefix("/peer/"))
        if self.takes_orders:
            self._answer(200, f"{self.mesh.take_over(nick)} IPs taken over from {nick}\n")
        else:
            self._answer(405, "")

    def do_POST(self) -> None:
        """Forget addresses."""
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        if not self.takes_orders or self.path != "/forget":
            self._answer(405, "")
            return
        for address in form.get("peer", ()):
            self.mesh.forget(address)
        self._answer(200, "")

    def _answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class OrdersHandler(Handler):
    """Takes orders too."""

    takes_orders = True


def serve_pages(place: tuple[str, int], handler: type[Handler]) -> None:
    """Serve on a port, in the background."""
    threading.Thread(target=ThreadingHTTPServer(place, handler).serve_forever, daemon=True).start()
