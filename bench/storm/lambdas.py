"""The handlers at work: processes that run them, each event handed to one, failed ones tried again.

Where runs are reserved for a handler it has no more at once: further events wait for one, in their order.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any

from tests.lab.aws.events import Event

WORKER = Path(__file__).with_name("worker.py")
PAUSES = (60.0, 120.0)  # seconds before Lambda tries a failed asynchronous event again


@dataclass(frozen=True)
class Invocation:
    """One run of a handler: when the event was sent, the run's begin and end, "" or the error."""

    handler: str
    sent: float
    began: float
    ended: float
    error: str


@dataclass(frozen=True)
class Calls:
    """DynamoDB calls of one kind in one second, of all handlers."""

    second: int
    name: str
    number: int


@dataclass
class _Sent:
    handler: str
    event: Event
    time: float
    attempt: int = 0


@dataclass
class Lambdas:
    """``processes`` workers with ``threads`` each: so many handlers run at once at most."""

    processes: int
    threads: int
    environment: Mapping[str, str]
    log: Path
    reserved: Mapping[str, int] = field(default_factory=dict)
    invocations: list[Invocation] = field(default_factory=list)
    calls: list[Calls] = field(default_factory=list)
    _waiting: dict[int, _Sent] = field(default_factory=dict)
    _running: Counter[str] = field(default_factory=Counter)
    _held: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    _ids: count[int] = field(default_factory=count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Start the workers."""
        words = [sys.executable, str(WORKER), str(self.threads)]
        with self.log.open("ab") as log:
            self._workers = [
                subprocess.Popen(  # noqa: S603 - our own worker
                    words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=dict(self.environment),
                    text=True,
                    bufsize=1,
                )
                for _ in range(self.processes)
            ]
        self._next = cycle(self._workers)
        self._readers = [threading.Thread(target=self._read, args=(one,)) for one in self._workers]
        for reader in self._readers:
            reader.start()

    def invoke(self, handler: str, event: Event) -> None:
        """Run a handler with an event, soon."""
        self._send(_Sent(handler, event, time.time()))

    @property
    def waiting(self) -> int:
        """How many events are not worked off, those that will be tried again among them."""
        return len(self._waiting)

    def close(self) -> None:
        """No more events: wait until all are worked off, and learn what they cost."""
        for worker in self._workers:
            if worker.stdin:
                worker.stdin.close()
        for reader in self._readers:
            reader.join(timeout=60)
        for worker in self._workers:
            worker.kill()
            worker.wait()

    def _send(self, sent: _Sent, number: int = -1) -> None:
        with self._lock:
            number = next(self._ids) if number < 0 else number
            self._waiting[number] = sent
            self._held[sent.handler].append(number)
            self._start_held(sent.handler)

    def _start_held(self, handler: str) -> None:
        """Start what has come for a handler, as far as it may run at once; under the lock."""
        held, room = self._held[handler], self.reserved.get(handler)
        while held and (room is None or self._running[handler] < room):
            number = held.popleft()
            self._running[handler] += 1
            pipe = next(self._next).stdin
            if pipe and not pipe.closed:
                row = {"id": number, "handler": handler, "event": self._waiting[number].event}
                pipe.write(json.dumps(row) + "\n")

    def _read(self, worker: subprocess.Popen[str]) -> None:
        for line in worker.stdout or ():
            self._note(json.loads(line))

    def _note(self, row: dict[str, Any]) -> None:
        if "calls" in row:
            self.calls += [Calls(*one) for one in row["calls"]]
            return
        sent = self._waiting[row["id"]]
        with self._lock:
            self._running[sent.handler] -= 1
            self._start_held(sent.handler)
        self.invocations.append(Invocation(sent.handler, sent.time, row["began"], row["ended"], row["error"]))
        if row["error"] and sent.attempt < len(PAUSES):
            timer = threading.Timer(PAUSES[sent.attempt], self._send, (sent, row["id"]))
            timer.daemon = True
            sent.attempt += 1
            timer.start()
        else:
            del self._waiting[row["id"]]
