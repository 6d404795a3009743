"""``agent preflight``: whether this host can be a node; changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from bootstrap.commands.options import add_engine, add_wanted, finish, print_json, read_wanted
from bootstrap.engine.client import Engine
from bootstrap.errors import NOT_DONE
from bootstrap.machine.checks import Check, can_go_on, judge
from bootstrap.machine.probe import read_machine


def command(words: Sequence[str]) -> int:
    """Run ``agent preflight`` with these words; answers the exit status."""
    parser = argparse.ArgumentParser("agent preflight", description=__doc__)
    add_engine(parser)
    add_wanted(parser)
    parser.add_argument("--json", action="store_true", help="one line for programs in place of the table")
    options = parser.parse_args(words)
    return finish(lambda: _check(options))


def table(checks: Sequence[Check]) -> str:
    """Lay the checks out as a table; what is wrong has its reason and what to do below it."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.verdict.value:4}  {check.name:{width}}  {check.found}")
        if check.reason:
            lines.append(f"{'':4}  {'':{width}}  {check.reason}: {check.action}")
    return "\n".join(lines)


def _check(options: argparse.Namespace) -> int:
    wanted, host = read_wanted(options)
    facts = read_machine(Engine(options.engine), wanted.engine.source)
    checks = judge(facts, wanted, host)
    if options.json:
        print_json({"ok": can_go_on(checks), "checks": [asdict(check) for check in checks]})
    else:
        print(table(checks))
    return 0 if can_go_on(checks) else NOT_DONE
