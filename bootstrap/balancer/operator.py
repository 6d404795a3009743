"""``agent operator``: rebalances whenever a node becomes usable, with nothing but the engine API."""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NoReturn, Protocol

from bootstrap import log
from bootstrap.balancer.decisions import Decision, backoff_seconds, on_connection, on_events, summary
from bootstrap.clock import Clock
from bootstrap.engine.client import SOCKET, Engine
from bootstrap.engine.node import Node
from bootstrap.engine.node_event import NodeEvent
from bootstrap.errors import NOT_DONE, UNAVAILABLE, AgentError
from bootstrap.tasks import rebalance
from chalicelib.protocol.messages import Arguments, Rebalance, Result

SILENCE_TIMEOUT_S = 60.0  # without an event after which the connection is made anew
MAX_OPTION_S = 1e6  # that an option may name
GATHER_S = 1.0  # for which more events are waited for once one has come


class EventSource(Protocol):
    """A source of node events; ``ended`` once the connection is gone and all events were given out."""

    ended: bool

    def next_events(self, patience: float) -> tuple[NodeEvent, ...]:
        """Wait for the next events that come together; none after so many seconds, or once it ended."""


class Listener:
    """Reads events in a thread of its own, since a read that timed out cannot be continued."""

    def __init__(self, events: Iterable[NodeEvent]) -> None:
        self.ended = False
        self._queue: SimpleQueue[NodeEvent | None] = SimpleQueue()
        Thread(target=self._read, args=(events,), daemon=True).start()

    def next_events(self, patience: float) -> tuple[NodeEvent, ...]:
        found: list[NodeEvent] = []
        until = time.monotonic() + patience
        while not self.ended:
            left = until - time.monotonic()
            try:
                event = self._queue.get(timeout=None if math.isinf(left) else max(left, 0.0))
            except Empty:
                break
            if event is None:
                self.ended = True
                break
            if not found:
                until = time.monotonic() + GATHER_S
            found.append(event)
        return tuple(found)

    def _read(self, events: Iterable[NodeEvent]) -> None:
        try:
            for event in events:
                self._queue.put(event)
        finally:
            self._queue.put(None)


def listen(engine: Engine) -> EventSource:
    """Listen to the engine's node events. Raises EngineError where it is not reached."""
    return Listener(engine.node_events(SILENCE_TIMEOUT_S))


@dataclass
class Operator:
    """The loop: listen, list the nodes, decide, rebalance. A silent engine is waited for without end."""

    engine: Engine
    arguments: Arguments
    clock: Clock
    run: Callable[[Engine, Arguments, Clock], Result]  # a rebalance
    listen: Callable[[Engine], EventSource]
    _events: EventSource | None = None
    _is_current: bool = False  # the nodes were listed since events may have been missed
    _known: tuple[Node, ...] | None = None  # the nodes as they were listed last
    _due: float = math.inf  # when to rebalance next, in seconds since the epoch
    _failures: int = 0  # in a row
    _last_trouble: str = ""  # that was logged

    def forever(self) -> NoReturn:
        """Take turns until the process ends."""
        while True:
            self.turn()

    def turn(self) -> None:
        """Take the next step. What fails is tried again, after a back-off that grows."""
        try:
            self._step()
        except AgentError as error:
            self._failures += 1
            self._log_trouble(str(error))
            self.clock.sleep(backoff_seconds(self._failures, random.random()))  # noqa: S311 - jitter, not a secret
        else:
            if self._failures:
                say("the engine answers again")
            self._failures, self._last_trouble = 0, ""

    def _step(self) -> None:
        if self._events is None:
            # Before the nodes are listed: what changes in between is heard.
            self._events = self.listen(self.engine)
            self._is_current = False
        if not self._is_current:
            known = self._known
            self._decide(on_connection(known, self._list_nodes()), quietly=known is not None)
        elif self._due <= self.clock.now():
            self._rebalance()
        else:
            self._await_events(self._events)

    def _await_events(self, source: EventSource) -> None:
        events = source.next_events(self._due - self.clock.now())
        if source.ended:
            self._events = None
            self.clock.sleep(GATHER_S)  # or a connection that breaks at once would keep us busy
        for event in events:
            say(f"event: {event}")
        if events:
            self._is_current = False
            self._decide(on_events(events, self._list_nodes()))

    def _list_nodes(self) -> tuple[Node, ...]:
        self._known = self.engine.nodes()
        self._is_current = True
        return self._known

    def _decide(self, decision: Decision, *, quietly: bool = False) -> None:
        if decision.act:
            self._due = self.clock.now()
        if decision.act or not quietly:
            say(f"decision: {'rebalance' if decision.act else 'do nothing'}, as {decision.reason}")

    def _rebalance(self) -> None:
        result = self.run(self.engine, self.arguments, self.clock)
        say(f"result: {summary(result)}")
        self._due = self.clock.now() + result.wait if result.wait else math.inf

    def _log_trouble(self, error: str) -> None:
        """Log a trouble once, not once for each try."""
        if error != self._last_trouble:
            say(f"{error}; trying again")
        self._last_trouble = error


def command(words: Sequence[str]) -> int:
    """Run ``agent operator`` with these words; answers the exit status."""
    options = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as process 1 nobody else would end us
    arguments = Arguments(rebalance=Rebalance(settle=options.settle, cooldown=options.cooldown))
    clock = Clock()
    try:
        engine = Engine(options.engine)
        if not options.once:
            say(f"listening to node events at {options.engine}")
            Operator(engine, arguments, clock, rebalance.run, listen).forever()
        result = rebalance.run(engine, arguments, clock)
    except AgentError as error:
        say(str(error))
        return UNAVAILABLE
    say(f"result: {summary(result)}")
    return 0 if result.ok else NOT_DONE


def say(text: str) -> None:
    """Write one line of the operator's log."""
    log.say(f"operator: {text}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent operator", description=__doc__)
    parser.add_argument(
        "--engine",
        default=os.environ.get("DOCKER_HOST", SOCKET),
        help="the engine API (default: %(default)s)",
    )
    parser.add_argument(
        "--settle",
        type=_seconds,
        default=os.environ.get("SETTLE", "30"),
        help="seconds for which no node may have joined before services are moved (default: %(default)s)",
    )
    parser.add_argument(
        "--cooldown",
        type=_seconds,
        default=os.environ.get("COOLDOWN", "300"),
        help="seconds between two rebalances (default: %(default)s)",
    )
    parser.add_argument("--once", action="store_true", help="rebalance once, now, and end")
    parser.epilog = "DOCKER_HOST, SETTLE and COOLDOWN in the environment are the defaults of the options."
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < MAX_OPTION_S:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text!r}")
    return value
