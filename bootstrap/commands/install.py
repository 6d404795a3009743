"""``agent install``: the wanted engine on this host; run again, it changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bootstrap.clock import Clock
from bootstrap.commands.options import add_engine, add_wanted, finish, print_json, read_wanted
from bootstrap.engine.client import Engine
from bootstrap.errors import NOT_DONE
from bootstrap.machine.install import install
from bootstrap.machine.install_steps import InstallStep, plan
from bootstrap.machine.machine import Machine, this_machine
from bootstrap.machine.wanted import Wanted


def command(words: Sequence[str]) -> int:
    """Run ``agent install`` with these words; answers the exit status."""
    parser = argparse.ArgumentParser("agent install", description=__doc__)
    add_engine(parser)
    add_wanted(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    parser.add_argument(
        "--restart",
        dest="may_restart",
        action="store_true",
        help="also where that stops containers of a swarm; without it such a host is left as it is",
    )
    parser.add_argument(
        "--downgrade", dest="may_downgrade", action="store_true", help="also to an older engine"
    )
    parser.add_argument("--json", action="store_true", help="the result as one line for programs")
    options = parser.parse_args(words)
    return finish(lambda: _install(options))


def _install(options: argparse.Namespace) -> int:
    wanted, _ = read_wanted(options)
    machine = this_machine(Engine(options.engine), Clock())
    if options.dry_run:
        return _show(machine, wanted, as_json=options.json)
    done = install(machine, wanted)
    if options.json:
        print_json({"version": done.version, "storage_driver": done.storage_driver, "steps": done.steps})
    else:
        print(done)
    return 0


def _show(machine: Machine, wanted: Wanted, *, as_json: bool) -> int:
    steps = list(plan(machine.read(wanted), wanted))
    if as_json:
        print_json([{"step": step.value, "reason": why} for step, why in steps])
    else:
        for step, why in steps:
            print(f"{step.value}: {why}")
    return NOT_DONE if steps[-1][0] is InstallStep.STOP else 0
