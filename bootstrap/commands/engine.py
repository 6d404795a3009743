"""``agent engine version|events|managers``: small questions to the engine, for people and scripts."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bootstrap.commands.options import add_engine, finish, print_json
from bootstrap.engine.client import Engine
from bootstrap.errors import AgentError

QUIET_S = 3600.0  # without an event after which the connection is made anew


def command(words: Sequence[str]) -> int:
    """Run ``agent engine`` with these words; answers the exit status."""
    parser = argparse.ArgumentParser("agent engine", description=__doc__)
    whats = parser.add_subparsers(dest="what", required=True, metavar="version|events|managers")
    for name, (run, purpose) in WHATS.items():
        what = whats.add_parser(name, help=purpose)
        what.set_defaults(run=run)
        add_engine(what)
        what.add_argument("--json", action="store_true", help="one JSON value a line, for programs")
    options = parser.parse_args(words)
    return finish(lambda: options.run(Engine(options.engine), options.json))


def show_version(engine: Engine, as_json: bool) -> int:  # noqa: FBT001 - called through a table
    """Print the engine's version."""
    version = str(engine.info().get("ServerVersion", ""))
    if as_json:
        print_json({"version": version})
    else:
        print(version)
    return 0


def follow_events(engine: Engine, as_json: bool) -> int:  # noqa: FBT001 - called through a table
    """Print node events as they come, until somebody ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    engine.node_id()  # a worker would be told nothing, for ever
    try:
        while True:
            for event in engine.node_events(QUIET_S):
                if as_json:
                    print_json(asdict(event))
                else:
                    print(event)
                sys.stdout.flush()
            engine.node_id()
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


def list_managers(engine: Engine, as_json: bool) -> int:  # noqa: FBT001 - called through a table
    """Print the addresses of the managers that this engine knows."""
    seen = engine.membership()
    if seen.state != "active":
        raise AgentError(f"this host is in no swarm (its state is {seen.state})")
    addresses = sorted(seen.managers)
    if as_json:
        print_json(addresses)
    else:
        print("\n".join(addresses))
    return 0


WHATS = {
    "version": (show_version, "the engine's version"),
    "events": (follow_events, "the nodes' events, as they come; on a manager"),
    "managers": (list_managers, "the addresses of the managers that this engine knows"),
}
