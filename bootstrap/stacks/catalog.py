"""The stacks that the agent brings along: their compose files, settings and configs; pure."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from bootstrap.engine.network import Network
from bootstrap.errors import AgentError

CONFIG_BYTES = 500_000  # bytes; engines up to 23.0 take configs of 500 KiB at most
WEAVE = ipaddress.IPv4Network("10.32.0.0/12")  # networks of any driver but overlay lie inside
NETWORK, DRIVER, SUBNET, POST = "control", "CONTROL_DRIVER", "CONTROL_SUBNET", "DOCKER_API_POST"
_SETTING = re.compile(r"(?<!\$)\$\{([A-Z_]+):-([^}]*)\}")
_COMPUTED = re.compile(r"(?<!\$)\$\{([A-Z_]+)\}")
_VALUE = re.compile(r"[\w./:@+-]*\Z", re.ASCII)


@dataclass(frozen=True)
class Stack:
    """A stack: what it is for, and its compose file."""

    name: str
    purpose: str
    agent: bool = False  # it runs the agent, which comes along as configs

    @property
    def source(self) -> str:
        """The compose file as it is in the agent, settings not filled in."""
        return resources.files("bootstrap").joinpath(f"stacks/{self.name}.yml").read_text("utf-8")

    @property
    def defaults(self) -> Mapping[str, str]:
        """The settings and their defaults, in the order of the file."""
        return dict(_SETTING.findall(self.source))


STACKS = (
    Stack("control", "network control, and docker-api on it: a part of the engine's API for your operators"),
    Stack("service-balancer", "the operator that rebalances when a node joins", agent=True),
)


def named(name: str) -> Stack:
    """Find the stack of that name. Raises AgentError where there is none."""
    for stack in STACKS:
        if stack.name == name:
            return stack
    raise AgentError(
        f"there is no stack {name!r}; the stacks are {', '.join(stack.name for stack in STACKS)}"
    )


def choose_settings(stack: Stack, given: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Choose the stack's settings: given, else environment, else default. Raises AgentError for a bad one."""
    defaults = stack.defaults
    settings = {name: given.get(name, environment.get(name, value)) for name, value in defaults.items()}
    for name, value in settings.items():
        if not _VALUE.match(value):
            raise AgentError(f"setting {name} may hold letters, digits and ._/:@+- only, not {value!r}")
    if settings.get("REGISTRY") and not settings["REGISTRY"].endswith("/"):
        settings["REGISTRY"] += "/"
    for name in {"SETTLE", "COOLDOWN"} & set(settings):
        _check_seconds(name, settings[name])
    if settings.get(POST, "0") not in ("0", "1"):
        raise AgentError(f"setting {POST} must be 0 (read only) or 1 (write, too), not {settings[POST]!r}")
    if SUBNET in settings:
        _check_subnet(settings[DRIVER], settings[SUBNET])
    return settings


def check_known(given: Iterable[str], stack: Stack) -> None:
    """AgentError for a given setting that the stack does not have."""
    for name in set(given) - set(stack.defaults):
        known = ", ".join(sorted(stack.defaults))
        raise AgentError(f"stack {stack.name} has no setting {name!r}; its settings are {known}")


def check_free(subnet: str, networks: Iterable[Network]) -> None:
    """AgentError where ``control`` exists otherwise than it shall, or its range overlaps a network's."""
    wanted = ipaddress.ip_network(subnet)
    for network in networks:
        if network.name == NETWORK:
            _check_ours(network, subnet)
        for taken in () if network.name == NETWORK else network.subnets:
            if wanted.overlaps(ipaddress.ip_network(taken)):
                raise AgentError(
                    f"range {subnet} of network {NETWORK} overlaps {taken} of network {network.name}: choose "
                    f"another with --set {SUBNET}=…"
                )


def parts(agent: bytes) -> dict[str, bytes]:
    """Cut the agent into configs, by name: ``agent-<hash>-1`` and so on, in order."""
    digest = hashlib.sha256(agent).hexdigest()[:16]
    cuts = range(0, len(agent), CONFIG_BYTES)
    return {f"agent-{digest}-{number}": agent[cut : cut + CONFIG_BYTES] for number, cut in enumerate(cuts, 1)}


def rendered(stack: Stack, settings: Mapping[str, str], agent: Mapping[str, bytes]) -> str:
    """Fill in the compose file; ``agent`` are the configs, which lie as files beside it."""
    # JSON is YAML too. The targets are numbered so that the shell's * has them in order.
    mounts = [{"source": name, "target": f"/agent/{number:03}"} for number, name in enumerate(agent, 1)]
    files = {name: {"name": name, "file": f"./{name}"} for name in agent}
    computed = {"AGENT_MOUNTS": json.dumps(mounts), "AGENT_PARTS": json.dumps(files)}
    text = _COMPUTED.sub(lambda found: computed[found[1]], stack.source)
    return _SETTING.sub(lambda found: settings[found[1]], text)


def _check_seconds(name: str, value: str) -> None:
    if not re.fullmatch(r"\d+(\.\d+)?", value):
        raise AgentError(f"setting {name} must be a number of seconds, not {value!r}")


def _check_subnet(driver: str, subnet: str) -> None:
    try:
        network = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise AgentError(
            f"setting {SUBNET} must be an IPv4 network such as 10.32.100.0/24: {error}"
        ) from None
    if driver != "overlay" and not network.subnet_of(WEAVE):
        raise AgentError(f"a network of driver {driver} must lie inside {WEAVE}, unlike {SUBNET}={subnet}")


def _check_ours(network: Network, subnet: str) -> None:
    if network.stack != NETWORK:
        raise AgentError(
            f"there is a network {NETWORK} that no stack made: remove it (docker network rm {NETWORK})"
        )
    if subnet not in network.subnets:
        raise AgentError(
            f"network {NETWORK} has range {', '.join(network.subnets)}, and cannot be changed: deploy with "
            f"--set {SUBNET}={network.subnets[0]}, or remove the stack first (stack rm {NETWORK})"
        )
