"""The network plugin's router on this host: its pages, its orders, and how it was started."""

from __future__ import annotations

import http.client
import ipaddress
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Union
from urllib.parse import quote, urlencode

from bootstrap.errors import AgentError
from bootstrap.network.router_status import RouterStatus, read_status

HERE = "127.0.0.1"
STATUS_PORT, CONTROL_PORT = 6782, 6784
ANSWER_TIMEOUT_S = 5.0
MAX_PAGE = 4_000_000  # bytes; a line for each host
OK = 200
PROGRAM = "weaver"
SENTINEL = Path("/var/lib/weave/restart.sentinel")  # left over, it makes a new router ignore its addresses


@dataclass(frozen=True)
class Router:
    """The router behind two ports of this host."""

    status_port: int = STATUS_PORT
    control_port: int = CONTROL_PORT
    processes: Path = Path("/proc")
    sentinel: Path = SENTINEL

    def status(self) -> Union[RouterStatus, None]:
        """Read what it tells; None where nobody answers. Raises StatusError."""
        with suppress(OSError, http.client.HTTPException):
            pages = [self._ask(self.status_port, "GET", page) for page in ("/status", "/status/connections")]
            return read_status(*pages)
        return None

    def started_with(self) -> Union[tuple[str, ...], None]:
        """Read with which addresses its program was started; None where no such program runs."""
        for folder in self.processes.glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                if words[0].rpartition("/")[2] == PROGRAM:
                    return tuple(word for word in words[1:] if _is_address(word))
        return None

    def remove_peer(self, name: str) -> str:
        """Take over the address range of a dead peer; what is answered tells no success."""
        return self._order("DELETE", f"/peer/{quote(name, safe='')}")

    def forget(self, address: str) -> str:
        """Connect to an address no longer."""
        return self._order("POST", "/forget", urlencode({"peer": address}))

    def forget_restart(self) -> None:
        """Remove the mark of an earlier start."""
        try:
            self.sentinel.unlink(missing_ok=True)
        except OSError as error:
            raise AgentError(f"{self.sentinel} cannot be removed: {error}") from None

    def _order(self, method: str, path: str, form: str = "") -> str:
        try:
            return self._ask(self.control_port, method, path, form)
        except (OSError, http.client.HTTPException) as error:
            raise AgentError(
                f"the network plugin did not take {method} {path} at {HERE}:{self.control_port} "
                f"({type(error).__name__}: {error}); nothing was changed: see that it runs (docker plugin ls)"
            ) from None

    def _ask(self, port: int, method: str, path: str, form: str = "") -> str:
        connection = http.client.HTTPConnection(HERE, port, timeout=ANSWER_TIMEOUT_S)
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
            connection.request(method, path, form or None, headers)
            answer = connection.getresponse()
            text = answer.read(MAX_PAGE).decode("utf-8", "replace")
        finally:
            connection.close()
        if answer.status != OK:
            raise http.client.HTTPException(f"{answer.status} {' '.join(text.split())[:200]}")
        return text


def _is_address(word: str) -> bool:
    try:
        ipaddress.IPv4Address(word)
    except ValueError:
        return False
    return True
