"""The router's program: connections over TCP 6783, packets over UDP 6784, status on 6782."""

from __future__ import annotations

import sys
import threading
from ipaddress import IPv4Address
from pathlib import Path

from tests.lab.netplugin.router.driver import serve_driver
from tests.lab.netplugin.router.mesh import Mesh
from tests.lab.netplugin.router.pages import Handler, OrdersHandler, serve_pages


def main(words: list[str]) -> None:
    """Run for ever, with the flags of the original."""
    flags = dict(
        word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "=" in word
    )
    targets = [str(IPv4Address(word)) for word in words if not word.startswith("--")]
    kept = Path(f"{flags['db-prefix']}-stand-in.json")
    mesh = Mesh(flags["nickname"], flags["ipalloc-range"], kept, targets)
    Handler.mesh = mesh
    for work in (mesh.listen, mesh.care):
        threading.Thread(target=work, daemon=True).start()
    serve_pages(("0.0.0.0", 6782), Handler)  # noqa: S104 - as the original
    serve_pages(("127.0.0.1", 6784), OrdersHandler)
    serve_driver(mesh.wires)


main(sys.argv[1:])
