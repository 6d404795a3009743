"""``agent network-plugin|network|ingress …``: the network between the hosts, by hand and step by step."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from bootstrap.clock import Clock
from bootstrap.engine.client import SOCKET, Engine
from bootstrap.errors import BAD_INPUT, UNAVAILABLE, AgentError
from bootstrap.network.ranges import OVERLAY
from bootstrap.network.tasks import RUN
from chalicelib.protocol.description import PLUGIN_RANGE
from chalicelib.protocol.messages import AgentTask, Arguments
from chalicelib.protocol.network_order_fields import NETWORK_ORDER, read_network_order
from chalicelib.protocol.strict_json import ProtocolError


def command(name: str, words: Sequence[str]) -> int:
    """Run ``agent <name>`` with these words; answers the exit status."""
    options = vars(PARSERS[name]().parse_args(words))
    try:
        given = {field: options[field] for field in NETWORK_ORDER if options.get(field)}
        order = read_network_order(given, name)
    except ProtocolError as error:
        return _fail(f"{error}; nothing was changed", BAD_INPUT)
    clock = Clock()
    deadline = clock.now() + options["timeout"] if options.get("timeout") else 0.0
    arguments = Arguments(managers=tuple(options.get("managers") or ()), deadline=deadline, network=order)
    try:
        result = RUN[options["task"]](Engine(options["engine"]), arguments, clock)
    except AgentError as error:
        return _fail(str(error), UNAVAILABLE)
    print(result.facts["said"])
    return 0


def _plugin_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent network-plugin", description=__doc__)
    whats = parser.add_subparsers(required=True, metavar="install|verify|remove-peer")
    for task, name, purpose in (
        (AgentTask.INSTALL_PLUGIN, "install", "install it here, once the managers have formed"),
        (
            AgentTask.VERIFY_PLUGIN,
            "verify",
            "see that it works, with all peers connected; else install it again",
        ),
    ):
        what = _add(whats, task, name, purpose)
        what.add_argument("driver", metavar="REFERENCE", help="the plugin, such as name/plugin:1.0")
        what.add_argument("--range", help=f"from which its networks are (default: {PLUGIN_RANGE})")
        what.add_argument(
            "--manager",
            dest="managers",
            action="append",
            metavar="ADDRESS",
            help="wait until this one is among the swarm's managers; can be given several times",
        )
        what.add_argument("--timeout", type=float, metavar="SECONDS", help="when to give up (default: 180)")
        if name == "verify":
            help_ = "how many hosts have it (default: on a manager as many as are Ready)"
            what.add_argument("--peers", type=int, metavar="N", help=help_)
    peer = _add(whats, AgentTask.REMOVE_PEER, "remove-peer", "take over the addresses of a host that is gone")
    peer.add_argument("peer", metavar="HOSTNAME", help="its host name")
    peer.add_argument(
        "--address", help="where it was a manager; needed on each host that was started with it"
    )
    peer.add_argument("--forget-only", action="store_true", help="another host has taken its addresses over")
    return parser


def _network_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent network", description=__doc__)
    whats = parser.add_subparsers(required=True, metavar="create")
    what = _add(whats, AgentTask.CREATE_NETWORK, "create", "make a network of the swarm, on a manager")
    what.add_argument("name", metavar="NAME")
    what.add_argument("--subnet", required=True, help="its range, such as 10.32.100.0/24")
    what.add_argument("--gateway", help="its gateway (default: the first address)")
    what.add_argument("--driver", default=OVERLAY, help="overlay (the default), or the plugin's reference")
    what.add_argument("--range", help=f"of the plugin (default: {PLUGIN_RANGE})")
    return parser


def _ingress_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent ingress", description=__doc__)
    whats = parser.add_subparsers(required=True, metavar="remove")
    _add(
        whats,
        AgentTask.REMOVE_INGRESS,
        "remove",
        "remove the routing mesh, unless a service publishes through it",
    )
    return parser


def _add(whats: Any, task: AgentTask, name: str, purpose: str) -> argparse.ArgumentParser:
    what: argparse.ArgumentParser = whats.add_parser(name, help=purpose, description=purpose)
    what.set_defaults(task=task)
    what.add_argument("--dry-run", action="store_true", help="say what would be done first, change nothing")
    default = os.environ.get("DOCKER_HOST", SOCKET)
    what.add_argument("--engine", default=default, help="the engine's socket (default: %(default)s)")
    return what


def _fail(message: str, status: int) -> int:
    print(f"agent: {message}", file=sys.stderr)
    return status


PARSERS = {"network-plugin": _plugin_parser, "network": _network_parser, "ingress": _ingress_parser}
COMMANDS = {name: partial(command, name) for name in PARSERS}
