"""What a stack needs beside it: shared networks, passwords, and nodes that keep data."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from bootstrap.engine.client import Engine
from bootstrap.engine.node import LIFECYCLE_LABEL, Node
from bootstrap.errors import AgentError, RefusedError
from bootstrap.stacks.catalog import ON_DEMAND, SECURITY, Docker, Stack, check_free, setting_of

PASSWORD_BYTES = 24
ON_DEMAND_LIFECYCLE = "on-demand"


def check_nodes(stack: Stack, settings: Mapping[str, str], nodes: Iterable[Node]) -> str:
    """Check where data would be kept; answers a warning, "" for none. Raises AgentError for nowhere."""
    if not stack.keeps_data:
        return ""
    usable = [node for node in nodes if node.is_usable]
    safe = [node for node in usable if node.labels.get(LIFECYCLE_LABEL) == ON_DEMAND_LIFECYCLE]
    label = f"{LIFECYCLE_LABEL}={ON_DEMAND_LIFECYCLE}"
    if settings[ON_DEMAND] == "0":
        return (
            f"stack {stack.name} keeps data and may stand on {len(usable) - len(safe)} nodes that are not "
            f"known to be on demand: what it keeps is lost with them ({ON_DEMAND}=0)"
        )
    if not safe:
        raise AgentError(
            f"stack {stack.name} keeps data, so it stands on nodes with label {label}, and no active node "
            f"has it; nothing was changed: label one that stays (docker node update --label-add {label} "
            f"NODE), or risk its data with --set {ON_DEMAND}=0"
        )
    return ""


def check_networks(engine: Engine, stack: Stack, settings: Mapping[str, str]) -> list[str]:
    """List the shared networks that are missing. Raises AgentError where one cannot be as it shall."""
    found = engine.networks()
    names = {network.name for network in found}
    for name in stack.needs:
        if name not in names:
            raise AgentError(
                f"stack {stack.name} needs network {name}; nothing was changed: deploy stack {name} first "
                f"(stack deploy {name})"
            )
    for name in stack.networks:
        check_free(settings[setting_of(name, "SUBNET")], found, name)
    return [name for name in stack.networks if name not in names]


def make_network(docker: Docker, name: str, settings: Mapping[str, str]) -> None:
    """Make a shared network, attachable."""
    driver, subnet, gateway = (settings[setting_of(name, what)] for what in ("DRIVER", "SUBNET", "GATEWAY"))
    words = ["network", "create", "--driver", driver, "--attachable", "--subnet", subnet]
    docker([*words, *(["--gateway", gateway] if gateway else []), name], "", Path.cwd())
    print(f"Creating network {name}")


def make_passwords(engine: Engine, stack: Stack, settings: Mapping[str, str]) -> None:
    """Make those of its passwords that are missing; they are never shown, and never changed."""
    wanted = stack.secrets if settings.get(SECURITY) == "1" else ()
    there = engine.secret_names() if wanted else frozenset()
    for name in wanted:
        if name not in there:
            try:
                engine.create_secret(name, secrets.token_urlsafe(PASSWORD_BYTES).encode())
            except RefusedError:
                if name not in engine.secret_names():  # else somebody made it meanwhile
                    raise
            print(f"Creating secret {name}")


def warn(text: str) -> None:
    """Say it to whoever deploys."""
    if text:
        print(f"agent: warning: {text}", file=sys.stderr)
