"""The life of every command on every host: queued, run, ended, timed out or cancelled, and told to all."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tests.lab.aws import events
from tests.lab.endpoint.run_command import execution
from tests.lab.endpoint.run_command.execution import Ending, Script
from tests.lab.endpoint.run_command.record import ENDED, Invocation, Order, overall_status
from tests.lab.endpoint.run_command.shapes import command_row
from tests.lab.faults.armed_faults import Faults, Kind
from tests.lab.observe.journal import CommandChange, Entry, Trouble
from tests.lab.state import Host

COMMANDS_AT_ONCE = 5  # how many commands one SSM agent works on at the same time
_POLL_S = 0.2  # a host's power and freezing change elsewhere, so a queue looks for them
Key = tuple[str, str]  # a command's id and an instance's


class Runner(Protocol):
    """A script at work."""

    def wait(self) -> Ending:
        """Wait for its end."""

    def kill(self, why: str) -> None:
        """End it, for being ``timed_out`` or ``cancelled``."""

    def signal(self, number: signal.Signals) -> None:
        """Signal all of its processes."""


@dataclass
class Commands:
    """All commands of a lab. ``find`` answers a host as it is now, None for a stranger."""

    folder: Path
    find: Callable[[str], Host | None]
    faults: Faults
    emit: Callable[[events.Event], None]
    note: Callable[[Entry], None]
    start: Callable[[Host, Script], Runner] = execution.start
    powered: Callable[[Host], bool] = execution.powered
    _all: dict[Key, Invocation] = field(default_factory=dict)
    _running: dict[Key, Runner] = field(default_factory=dict)
    _unwanted: set[Key] = field(default_factory=set)
    _told: dict[str, str] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def send(self, order: Order) -> None:
        """Queue an order on each of its hosts."""
        found = [Invocation(order, instance, self._name(instance)) for instance in order.instances]
        with self._changed:
            self._all |= {invocation.key: invocation for invocation in found}
        for invocation in found:
            self._tell(invocation)
            threading.Thread(target=self._follow, args=(invocation.key,), daemon=True).start()

    def cancel(self, command: str, instances: tuple[str, ...]) -> None:
        """Cancel an order on these hosts, or on all of its hosts; what has ended stays as it is."""
        for invocation in self.of(command):
            if (not instances or invocation.instance in instances) and invocation.status not in ENDED:
                self._cancel(invocation.key)

    def all(self) -> list[Invocation]:
        """Every invocation, newest order first."""
        with self._changed:
            found = list(self._all.values())
        return sorted(found, key=lambda invocation: invocation.order.requested, reverse=True)

    def of(self, command: str) -> list[Invocation]:
        """List the invocations of one order."""
        return [invocation for invocation in self.all() if invocation.order.command == command]

    def get(self, command: str, instance: str) -> Invocation | None:
        """One invocation, None where there is none."""
        with self._changed:
            return self._all.get((command, instance))

    def output(self, invocation: Invocation) -> tuple[str, str]:
        """All of stdout and stderr, also while the script still runs."""
        folder = self._script(invocation).folder
        return _text(folder / "stdout"), _text(folder / "stderr")

    def signal(self, instance: str, number: signal.Signals) -> int:
        """Signal the processes of all commands that run on a host; answers how many commands."""
        with self._changed:
            running = [runner for key, runner in self._running.items() if key[1] == instance]
        for runner in running:
            runner.signal(number)
        return len(running)

    def stop(self) -> None:
        """Kill whatever runs: the endpoint ends."""
        with self._changed:
            running = list(self._running.values())
        for runner in running:
            runner.kill("cancelled")

    def _follow(self, key: Key) -> None:
        try:
            if self._await_delivery(key):
                self._tell(self._all[key])
                self._report(key, self._execute(key))
        except Exception as error:  # a thread has no caller: the journal is where somebody will see it
            self.note(Trouble(time.time(), f"command {key[0]} on {key[1]}: {error!r}"))
            raise

    def _await_delivery(self, key: Key) -> bool:
        until = self._all[key].order.requested + self._all[key].order.delivery_seconds
        with self._changed:
            while self._all[key].status == "Pending" and time.time() < until:
                if self._may_start(key):
                    begun: dict[str, Any] = {"status": "InProgress", "details": "InProgress"}
                    self._all[key] = replace(self._all[key], **begun, began=time.time())
                    return True
                self._changed.wait(_POLL_S)
            expired = self._all[key].status == "Pending"
        if expired:
            self._end(key, "TimedOut", "DeliveryTimedOut")
        return False

    def _may_start(self, key: Key) -> bool:
        host = self.find(key[1])
        if host is None or not self.powered(host) or self.faults.standing(Kind.FREEZE, key[1]):
            return False
        mine = [invocation for invocation in self._all.values() if invocation.instance == key[1]]
        busy = sum(invocation.status == "InProgress" for invocation in mine)
        first = next(invocation for invocation in mine if invocation.status == "Pending")
        return busy < COMMANDS_AT_ONCE and first.key == key

    def _execute(self, key: Key) -> Ending:
        host = self.find(key[1])
        if host is None:
            return self._lost(key)
        try:
            runner = self.start(host, self._script(self._all[key]))
        except OSError:
            if self.powered(host):
                raise
            return self._lost(key)
        with self._changed:
            self._running[key] = runner
            unwanted = key in self._unwanted
        if unwanted:
            runner.kill("cancelled")
        ending = runner.wait()
        with self._changed:
            del self._running[key]
        return self._lost(key) if ending.lost else ending

    def _lost(self, key: Key) -> Ending:
        """End a command whose host died: it stays in progress until all of its time is over."""
        time.sleep(max(0.0, self._all[key].order.expires - time.time()))
        return Ending(-1, timed_out=True, lost=True)

    def _report(self, key: Key, ending: Ending) -> None:
        while self.faults.standing(Kind.FREEZE, key[1]):
            time.sleep(_POLL_S)
        if ending.lost:
            self._end(key, "TimedOut", "ExecutionTimedOut")
            return
        output = self.output(self._all[key])
        if ending.cancelled:
            self._end(key, "Cancelled", "Cancelled", execution.KILLED, output)
        elif ending.timed_out:
            self._end(key, "TimedOut", "ExecutionTimedOut", execution.KILLED, output)
        elif ending.code:
            # The agent itself adds this line to the stderr of every script that fails.
            stderr = f"{output[1]}failed to run commands: exit status {ending.code}"
            self._end(key, "Failed", "Failed", ending.code, (output[0], stderr))
        else:
            self._end(key, "Success", "Success", 0, output)

    def _cancel(self, key: Key) -> None:
        with self._changed:
            self._unwanted.add(key)
            runner = self._running.get(key)
            pending = self._all[key].status == "Pending"
        if pending:
            self._end(key, "Cancelled", "Cancelled")
        elif runner is not None:
            runner.kill("cancelled")

    def _end(
        self, key: Key, status: str, details: str, code: int = -1, output: tuple[str, str] = ("", "")
    ) -> None:
        found: dict[str, Any] = {"status": status, "details": details, "code": code, "ended": time.time()}
        with self._changed:
            if self._all[key].status in ENDED:
                return
            invocation = replace(self._all[key], **found, stdout=output[0], stderr=output[1])
            self._all[key] = invocation
            self._changed.notify_all()
        self._tell(invocation)

    def _tell(self, invocation: Invocation) -> None:
        now, order, status = time.time(), invocation.order, invocation.status
        change = (now, order.command, invocation.instance, status, invocation.details, order.comment)
        self.note(CommandChange(*change, invocation.code))
        self.emit(events.invocation_status(order.command, invocation.instance, status, order.requested, now))
        if whole := self._news(order):
            self.emit(events.command_status(command_row(self.of(order.command)), whole, now))

    def _news(self, order: Order) -> str:
        """Find the order's own status where it is not the one published last."""
        with self._changed:
            status = overall_status([self._all[order.command, instance] for instance in order.instances])
            news = status if self._told.get(order.command) != status else ""
            self._told[order.command] = status
        return news

    def _script(self, invocation: Invocation) -> Script:
        order = invocation.order
        folder = self.folder / order.command / invocation.instance
        text = "\n".join(order.parameters["commands"]) + "\n"
        return Script(order.command, text, order.directory, order.execution_seconds, folder)

    def _name(self, instance: str) -> str:
        host = self.find(instance)
        return host.name if host else ""


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
