"""The routers' connections to one another: who is connected, who is tried, who is gone."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.netplugin.router.wires import Wires

PORT = 6783
BEAT_S, SILENCE_S, RETRY_S = 0.5, 5.0, 2.0
SENTINEL = Path("/restart.sentinel")
CONNECTING = "connecting"
TAKEN_OVER = 65_536  # addresses of a peer that is gone, as far as anybody asks
Row = tuple[str, str, str, str]  # arrow, address with port, state, text


@dataclass
class Peer:
    """A router at the other end of a connection; ``peers`` are its own, address by name."""

    name: str
    nick: str
    address: str
    port: int
    is_outgoing: bool
    wire: socket.socket
    heard: float
    peers: dict[str, str]


class Mesh:
    """One router among the others."""

    def __init__(self, nick: str, plugin_range: str, kept: Path, targets: Sequence[str]) -> None:
        self.lock = threading.RLock()
        digest = hashlib.sha256(Path("/host/etc/machine-id").read_bytes().strip()).hexdigest()
        self.name = ":".join(["22", *(digest[at : at + 2] for at in range(0, 10, 2))])
        self.nick, self.range, self._kept = nick, plugin_range, kept
        self.targets = self._initial(list(targets))
        self.peers: dict[str, Peer] = {}
        self._tried: dict[str, str] = {}  # address -> CONNECTING, or why it failed
        self._gone: set[str] = set()  # nicknames of which the addresses are to be taken over
        self.wires = Wires()

    def _initial(self, given: list[str]) -> list[str]:
        """Choose the targets: one that was started before goes on with what it kept, whatever it is given."""
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        if SENTINEL.exists():
            found = json.loads(self._kept.read_text()) if self._kept.exists() else []
            return [str(one) for one in found]
        self._kept.write_text(json.dumps(given))
        SENTINEL.touch()
        return given

    # connections

    def listen(self) -> None:
        """Take connections for ever."""
        server = socket.create_server(("0.0.0.0", PORT))  # noqa: S104 - as the original
        while True:
            wire, (address, port) = server.accept()
            threading.Thread(target=self._meet, args=(wire, address, port, False), daemon=True).start()

    def care(self) -> None:
        """Beat, drop who is silent, try who is missing."""
        while True:
            self._drop_silent()
            self._beat()
            for address in sorted(self._missing()):
                threading.Thread(target=self._dial, args=(address,), daemon=True).start()
            time.sleep(BEAT_S)

    def _missing(self) -> set[str]:
        with self.lock:
            known = {one for peer in self.peers.values() for one in peer.peers.values()}
            connected = {peer.address for peer in self.peers.values()}
            busy = {address for address, why in self._tried.items() if why == CONNECTING}
            return {*self.targets, *known} - connected - busy - self.wires.addresses()

    def _dial(self, address: str) -> None:
        with self.lock:
            self._tried[address] = CONNECTING
        try:
            wire = socket.create_connection((address, PORT), timeout=RETRY_S)
        except OSError as error:
            time.sleep(RETRY_S)
            with self.lock:
                self._tried[address] = f"dial tcp4 :0->{address}:{PORT}: {error.strerror or error}"
            return
        self._meet(wire, address, PORT, is_outgoing=True)

    def _meet(self, wire: socket.socket, address: str, port: int, is_outgoing: bool) -> None:
        """Greet the other end, and hear it until it is silent."""
        peer = None
        with wire, suppress(OSError, ValueError, KeyError):
            wire.settimeout(SILENCE_S)
            wire.sendall(self._word())
            lines = wire.makefile("r")
            said: dict[str, Any] = json.loads(lines.readline())
            now = time.monotonic()
            peer = Peer(said["name"], said["nick"], address, port, is_outgoing, wire, now, said["peers"])
            if self._take(peer):
                for line in lines:
                    with self.lock:
                        peer.heard, peer.peers = time.monotonic(), json.loads(line)["peers"]
        with self.lock:
            self._tried.pop(address, None)
        if peer:
            self._drop(peer)

    def _take(self, peer: Peer) -> bool:
        """Keep a connection; of two between the same two, both keep the one that the lesser name opened."""
        with self.lock:
            old = self.peers.get(peer.name)
            if peer.name == self.name or (old and self._opener(old) <= self._opener(peer)):
                return False
            self.peers[peer.name] = peer
            self._gone.discard(peer.nick)
            self._tried.pop(peer.address, None)
            self.wires.add_peer(peer.address)
        if old:
            old.wire.close()
        return True

    def _opener(self, peer: Peer) -> str:
        return self.name if peer.is_outgoing else peer.name

    def _drop(self, peer: Peer) -> None:
        with self.lock:
            if self.peers.get(peer.name) is not peer:
                return
            del self.peers[peer.name]
            self._gone.add(peer.nick)
            self.wires.remove_peer(peer.address)
        with suppress(OSError):
            peer.wire.shutdown(socket.SHUT_RDWR)

    def _drop_silent(self) -> None:
        now = time.monotonic()
        for peer in list(self.peers.values()):
            if now - peer.heard > SILENCE_S:
                self._drop(peer)

    def _word(self) -> bytes:
        with self.lock:
            peers = {peer.name: peer.address for peer in self.peers.values()}
        return (json.dumps({"name": self.name, "nick": self.nick, "peers": peers}) + "\n").encode()

    def _beat(self) -> None:
        word = self._word()
        for peer in list(self.peers.values()):
            try:
                peer.wire.sendall(word)
            except OSError:
                self._drop(peer)

    # orders

    def take_over(self, nick: str) -> int:
        """Take over a dead peer's addresses; answers how many, 0 for whoever is unknown or lives."""
        with self.lock:
            found = nick in self._gone
            self._gone.discard(nick)
        return TAKEN_OVER if found else 0

    def forget(self, address: str) -> None:
        """Try an address no longer."""
        with self.lock:
            self.targets = [one for one in self.targets if one != address]
            self._tried.pop(address, None)
            self._kept.write_text(json.dumps(self.targets))

    # what is told

    def rows(self) -> list[Row]:
        """List the connections that stand, and the targets to which none does."""
        with self.lock:
            own, connected = self.wires.addresses(), {peer.address for peer in self.peers.values()}
            rows = [_row_of(peer) for peer in self.peers.values()]
            for target in self.targets:
                place, why = f"{target}:{PORT}", self._tried.get(target, "")
                if target in own:
                    rows.append(("->", place, "failed", "cannot connect to ourself, retry: never"))
                elif target not in connected:
                    state = CONNECTING if why in ("", CONNECTING) else "failed"
                    rows.append(("->", place, state, "" if state == CONNECTING else f"{why}, retry: soon"))
        return sorted(rows, key=lambda row: row[1])

    def count_connections(self) -> int:
        """Count the connections of all peers."""
        with self.lock:
            return len(self.peers) + sum(len(peer.peers) for peer in self.peers.values())


def _row_of(peer: Peer) -> Row:
    arrow, place = "->" if peer.is_outgoing else "<-", f"{peer.address}:{peer.port}"
    return arrow, place, "established", f"fastdp {peer.name}({peer.nick}) mtu=1376"
