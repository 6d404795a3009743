"""After the end of a host: what the fleet launched instead joins, and opted-in services are spread anew."""

from __future__ import annotations

import time
from collections.abc import Callable

from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.messages import AgentTask, Balance, Result
from chalicelib.protocol.strict_json import ProtocolError
from tests.lab import state
from tests.lab.aws import lab_api
from tests.lab.demo.observation import Replacement
from tests.lab.demo.report import records
from tests.lab.observe import node_life
from tests.lab.state import Lab

JOIN_TIMEOUT_S = 120.0  # seconds until the replacement must be in service
REBALANCE_TIMEOUT_S = 120.0  # and from then until the rebalance must have ended
DONE = frozenset({Balance.BALANCED, Balance.MOVED})


def find_launched(lab: Lab, known: frozenset[str]) -> Replacement | None:
    """Find the worker launched since only these instances were known."""
    new = (host for host in state.load(lab.name).hosts if host.instance not in known)
    return next((Replacement(host.name, host.instance) for host in new), None)


def wait_joined(lab: Lab, replacement: Replacement) -> bool:
    """Whether the handlers have it in service, within JOIN_TIMEOUT_S."""
    return _comes(lambda: records.state_of(lab, replacement.instance) == "in-service", JOIN_TIMEOUT_S)


def node_of(lab: Lab, replacement: Replacement) -> str:
    """Find the id of its node, "" while it is none."""
    found = node_life.node_of(lab, state.load(lab.name).host(replacement.instance))
    return found.id if found else ""


def wait_balanced(lab: Lab, since: float) -> bool:
    """Whether a rebalance that was sent since then has ended, within REBALANCE_TIMEOUT_S."""
    return _comes(lambda: any(_over(result) for result in rebalances(lab, since)), REBALANCE_TIMEOUT_S)


def rebalances(lab: Lab, since: float) -> list[Result]:
    """Read what the rebalances answered that were sent since then."""
    found = []
    for row in lab_api.commands(lab, AgentTask.REBALANCE.value):
        if (row["ended"] or 0) >= since:
            try:
                found.append(decode_result(row["stdout"]))
            except ProtocolError:
                continue  # it failed: another one will be sent, or the patience ends
    return found


def _over(result: Result) -> bool:
    return result.ok and not result.wait and all(one.balance in DONE for one in result.spreads)


def _comes(predicate: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not (there := predicate()) and time.monotonic() < until:
        time.sleep(0.3)
    return there
