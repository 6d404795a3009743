"""The endpoint's own paths, under /_lab/: events to deliver, faults, settings, commands and their output."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.lab.aws.events import check
from tests.lab.endpoint.autoscaling import LifecycleActions
from tests.lab.endpoint.delivery import EventBus
from tests.lab.endpoint.messages import AwsError, Request, Response, json_answer
from tests.lab.endpoint.run_command.api import RunCommand
from tests.lab.faults.armed_faults import Faults, Kind, parse
from tests.lab.state import Lab, LabError


@dataclass(frozen=True)
class Admin:
    """Answers the lab's own commands; an error is ``{"error": text}`` with status 400."""

    commands: RunCommand
    bus: EventBus
    faults: Faults
    hooks: LifecycleActions
    lab: Callable[[], Lab]

    def __call__(self, request: Request) -> Response:
        """Answer one request of the lab itself."""
        routes: Mapping[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "/_lab/health"): lambda _: {"ok": True},
            ("POST", "/_lab/events"): self.bus.deliver,
            ("POST", "/_lab/raw"): lambda row: self.bus.deliver_raw(row["function"], row["payload"]),
            ("POST", "/_lab/tick"): lambda _: self.bus.tick(),
            ("GET", "/_lab/faults"): lambda _: self.faults.rows(),
            ("POST", "/_lab/faults"): self._arm,
            ("DELETE", "/_lab/faults"): self._clear,
            ("PUT", "/_lab/settings"): self._set,
            ("GET", "/_lab/commands"): lambda _: self._all_commands(),
            ("GET", "/_lab/hooks"): lambda _: self.hooks.rows(),
            ("POST", "/_lab/hooks"): self._open_hook,
        }
        route = routes.get((request.method, request.path))
        if route is None:
            return json_answer({"error": f"the lab has no {request.method} {request.path}"}, 404)
        try:
            return json_answer(route(json.loads(request.body or b"null")))
        except (LabError, AwsError, ValueError, KeyError) as error:
            return json_answer({"error": str(error)}, 400)

    def _arm(self, row: dict[str, Any]) -> dict[str, Any]:
        fault = self.faults.arm(parse(row))
        if fault.kind is Kind.PAUSE:
            self.commands.commands.signal(fault.match, signal.SIGSTOP)
        return asdict(fault)

    def _clear(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        kind = Kind(row["kind"]) if row.get("kind") else None
        gone = self.faults.clear(kind, row.get("match", ""))
        for fault in gone:
            if fault.kind is Kind.PAUSE:
                self.commands.commands.signal(fault.match, signal.SIGCONT)
        return [asdict(fault) for fault in gone]

    def _set(self, row: dict[str, Any]) -> dict[str, Any]:
        self.commands.registration = float(row["registration"])
        return {"registration": self.commands.registration}

    def _open_hook(self, row: dict[str, Any]) -> dict[str, Any]:
        if "event" in row:
            return asdict(self.hooks.told(check(row["event"])))
        return asdict(self.hooks.open(self.lab().host(row["host"]), row["transition"]))

    def _all_commands(self) -> list[dict[str, Any]]:
        engine = self.commands.commands
        found = [(invocation, engine.output(invocation)) for invocation in engine.all()]
        return [{**asdict(invocation), "stdout": out, "stderr": err} for invocation, (out, err) in found]
