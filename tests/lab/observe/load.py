"""Steady requests to services of the swarm, from a client inside it that resolves the name anew each time."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.resolver
from docker.errors import NotFound

from tests.lab.images import registry
from tests.lab.machines import programs
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine, services

KEY = "load"
CLIENT = "load-client"
# Seconds that a request, the look-up of its address included, may take: a busy machine may stall for some.
ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Answer:
    """What became of one request, begun at ``time`` (since the epoch); ``who`` is the host name answered."""

    time: float
    service: str
    ok: bool
    error: str
    seconds: float
    who: str


@dataclass(frozen=True)
class Load:
    """Requests under way, written to ``out`` as they end."""

    lab: Lab
    host: Host
    out: Path

    def stop(self) -> list[Answer]:
        """End the requests and take the client away; answers what became of every request."""
        programs.stop(self.lab, KEY, grace=ANSWER_TIMEOUT_S + 3)
        _remove_client(self.host)
        return read(self.out)


def start_load(lab: Lab, names: Sequence[str], rate: float, out: Path, host: Host | None = None) -> Load:
    """Ask each of the services ``rate`` times a second, until stopped; answers once a request is through.

    The client stands on that host, by default the last manager. A lab has one load at a time.
    """
    place = host or [host for host in lab.hosts if host.role == "manager" and host.pid][-1]
    out.unlink(missing_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    network = f"--net={_network_of_client(lab, place)}"
    asking = [sys.executable, "-m", "tests.lab.observe.load", str(out.resolve()), str(rate), *names]
    programs.start(lab, KEY, ["nsenter", network, *asking])
    what = f"the load's first request (see {lab.directory / KEY}.log)"
    engine.wait_until(lambda: out.exists() and out.stat().st_size, what)
    return Load(lab, place, out)


def read(path: Path) -> list[Answer]:
    """Every finished request, in order of beginning."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return sorted((Answer(**row) for row in rows), key=lambda answer: answer.time)


def _network_of_client(lab: Lab, host: Host) -> str:
    """Start the client container; answers the file of its network namespace, as the machine sees it."""
    _remove_client(host)
    client = engine.connect(host, timeout=30)
    container = client.containers.run(
        registry.reference(lab, "client:1"), name=CLIENT, network=services.NETWORK, detach=True
    )
    container.reload()
    return f"/proc/{host.pid}/root/proc/{container.attrs['State']['Pid']}/ns/net"


def _remove_client(host: Host) -> None:
    try:
        engine.connect(host).containers.get(CLIENT).remove(force=True)
    except (NotFound, LabError):
        return  # there is none, or its host has no power any more


async def ask_steadily(out: Path, rate: float, names: Sequence[str]) -> None:
    """One request per service and tick until SIGTERM; a slow one never holds up the next, nor gets lost."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.11"]
    begin, count, under_way = time.monotonic(), 0, set[asyncio.Task[None]]()
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    with out.open("a", buffering=1) as file:
        while not over.is_set():
            for name in names:
                task = asyncio.create_task(_ask(name, resolver, file.write))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            count += 1
            await asyncio.sleep(max(0.0, begin + count / rate - time.monotonic()))
        await asyncio.gather(*under_way)


async def _ask(name: str, resolver: dns.asyncresolver.Resolver, write: Callable[[str], object]) -> None:
    begun, clock, who, error = time.time(), time.monotonic(), "", ""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            who = await _get(await _resolve(name, resolver))
    except TimeoutError:
        error = "timeout"
    except (OSError, _RefusedError, dns.exception.DNSException) as refusal:
        error = _kind(refusal)
    answer = Answer(begun, name, not error, error, round(time.monotonic() - clock, 4), who)
    write(json.dumps(asdict(answer)) + "\n")


class _RefusedError(Exception):
    """An answer that is none."""


async def _resolve(name: str, resolver: dns.asyncresolver.Resolver) -> str:
    found = await resolver.resolve(name, "A", search=False, lifetime=ANSWER_TIMEOUT_S)
    return str(found[0])  # the engine shuffles them


async def _get(address: str) -> str:
    """Read the host name in the answer, which is "web <version> <host name>"."""
    reader, writer = await asyncio.open_connection(address, 80)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    finally:
        writer.close()
    if " 200 " not in head.split("\r\n")[0] + " ":
        raise _RefusedError(head.split("\r\n")[0] or "empty answer")
    return body.split()[-1]


def _kind(refusal: Exception) -> str:
    """One of few words for the same failure, so that they can be counted."""
    if isinstance(refusal, (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.NoNameservers)):
        return "no address"
    if isinstance(refusal, dns.exception.Timeout):
        return "no address in time"
    return str(refusal) if isinstance(refusal, _RefusedError) else type(refusal).__name__


if __name__ == "__main__":
    asyncio.run(ask_steadily(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
