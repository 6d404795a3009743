"""Virtual time for code that waits: one thread runs, and time jumps to the next that is due."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from itertools import count

STACK_BYTES = 512 * 1024


class Timeline:
    """A clock (ports.Clock) that threads share; a run with the same seed is the same run."""

    def __init__(self, start: float) -> None:
        self._now = self._end = start
        self._due: list[tuple[float, int, Callable[[], bool]]] = []
        self._order = count()
        self._over = threading.Lock()
        self.errors: list[BaseException] = []

    def now(self) -> float:
        """Return the time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let others run until then."""
        until = self._now + max(seconds, 0.0)
        if until <= self._end and (not self._due or until < self._due[0][0]):
            self._now = until  # nobody else is due before
            return
        lock = threading.Lock()
        lock.acquire()

        def wake() -> bool:
            lock.release()
            return True

        self._put(until, wake)
        self._go_on()
        lock.acquire()

    def call_at(self, time: float, what: Callable[[], object]) -> None:
        """Do something at a time that does not sleep."""

        def do() -> bool:
            what()
            return False

        self._put(time, do)

    def start_at(self, time: float, what: Callable[[], object]) -> None:
        """Start a thread at a time, which may sleep."""

        def run() -> None:
            try:
                what()
            except BaseException as error:  # noqa: BLE001 - raised by run_until
                self.errors.append(error)
            self._go_on()

        def start() -> bool:
            threading.Thread(target=run, daemon=True).start()
            return True

        self._put(time, start)

    def run_until(self, time: float) -> None:
        """Let time pass. What is not due by then stays as it is. Raises what a thread raised."""
        threading.stack_size(STACK_BYTES)
        self._end = time
        self._over.acquire()
        self._go_on()
        self._over.acquire()
        self._over.release()
        self._now = time
        if self.errors:
            raise self.errors[0]

    def _put(self, time: float, wake: Callable[[], bool]) -> None:
        heapq.heappush(self._due, (max(time, self._now), next(self._order), wake))

    def _go_on(self) -> None:
        """Hand over to who is due next: a thread that was woken or started goes on in place of this one."""
        while self._due and self._due[0][0] <= self._end and not self.errors:
            self._now, _, wake = heapq.heappop(self._due)
            if wake():
                return
        self._over.release()
