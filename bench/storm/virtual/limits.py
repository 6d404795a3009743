"""AWS as far as a storm feels it: quotas and latencies. Published numbers, unless a comment says more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

CONFIG = json.loads((Path(__file__).parents[3] / ".chalice" / "config.json").read_text())
POOLS: dict[str, int] = {
    name: function["reserved_concurrency"]
    for name, function in CONFIG["stages"]["prod"]["lambda_functions"].items()
    if "reserved_concurrency" in function
}
WARNINGS, GUARD = "on_spot_interruption_warning", "guard_spot_interruption_warning"
RESERVED, GUARDS = POOLS[WARNINGS], POOLS[GUARD]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Quotas of a fresh account in a large region. Times in seconds, rates in a second."""

    # Lambda: executions at once in the account; how many new environments a function gets.
    concurrency: int = 1000
    reserved: int = RESERVED  # of these for the warnings' handler, which gets no more
    guards: int = GUARDS  # and for the guards of warnings
    environments: float = 100.0
    environments_burst: float = 1000.0
    cold_start_s: float = 1.5  # measured, see docs/limits-and-cost.md
    handler_s: float = 0.03  # assumed: of a handler's own work
    event_s: float = 0.5  # "about half a second" from an event to its target
    throttled_s: float = 1.0  # first pause of Lambda's queue before an event that found no room; doubled
    # DynamoDB: units of one partition; a latency of single-digit milliseconds.
    write_units: float = 1000.0
    read_units: float = 3000.0
    item_s: float = 0.006
    transaction_s: float = 0.025  # assumed: for up to 100 items
    page_s: float = 0.06  # assumed: for 1 MB of a query
    record_s: float = 0.0001  # measured: to read one record of a page, with 1,024 MB
    record_bytes: int = 700  # measured: a record that is being evacuated
    # EC2: the bucket of Describe calls; a page has 1,000 instances.
    describes: float = 20.0
    describes_burst: float = 100.0
    describe_s: float = 1.0  # assumed
    # Run Command: AWS publishes no rate for SendCommand or GetCommandInvocation. Assumed for each:
    commands: float = 10.0
    commands_burst: float = 20.0
    command_s: float = 0.2
    delivery_s: float = 0.7  # from SendCommand to its start on the host: measured under one
    host_commands: int = 5  # at once on a host
