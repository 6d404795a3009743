"""The stacks that the agent brings along: their compose files, settings and configs; pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from bootstrap.engine.network import Network
from bootstrap.errors import AgentError
from bootstrap.network.ranges import check_inside, find_overlap

CONFIG_BYTES = 500_000  # bytes; engines up to 23.0 take configs of 500 KiB at most
NETWORK, DRIVER, SUBNET, POST = "control", "CONTROL_DRIVER", "CONTROL_SUBNET", "DOCKER_API_POST"
LOGGING, ENVOY, ENVOY_CONFIG = "elk_net", "envoy", "envoy.json"
ON_DEMAND = "ON_DEMAND"  # whether what keeps data stands on on-demand nodes only
SECURITY = "SECURITY"  # whether the log store asks for passwords
SWITCHES = (POST, ON_DEMAND, SECURITY, "ELASTIC_6")
Docker = Callable[[Sequence[str], str, Path], str]  # (words, stdin, working directory) -> stdout
_SETTING = re.compile(r"(?<!\$)\$\{([A-Z0-9_]+):-([^}]*)\}")
_COMPUTED = re.compile(r"(?<!\$)\$\{([A-Z0-9_]+)\}")
_PROXY = re.compile(rf"{ENVOY}-([a-z][a-z0-9-]{{0,39}})\Z", re.ASCII)
_VALUE = re.compile(r"[\w./:@+-]*\Z", re.ASCII)
_CHOSEN = re.compile(r"^(.*?) *# (where|without) ([A-Z0-9_]+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Stack:
    """A stack: what it is for, its compose file, and what it needs beside it.

    ``files`` are its configs, beside the compose file in a folder of its name. ``networks`` are shared with
    others: they are made where they are missing, and stay.
    """

    name: str
    purpose: str
    template: str = ""  # of which stack it is one of several, "" for a stack of its own
    agent: bool = False  # it runs the agent, which comes along as configs
    files: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # networks that other stacks make
    secrets: tuple[str, ...] = ()  # passwords, made once
    keeps_data: bool = False

    @property
    def source(self) -> str:
        """The compose file as it is in the agent, settings not filled in."""
        return _read(f"{self.folder}.yml")

    @property
    def folder(self) -> str:
        """Where its compose file and configs are, in the agent."""
        return self.template or self.name

    @property
    def defaults(self) -> Mapping[str, str]:
        """The settings and their defaults, in the order of the files."""
        texts = (self.source, *(_read(f"{self.folder}/{file}") for file in self.files))
        return {name: value for text in texts for name, value in _SETTING.findall(text)}

    def configs(
        self, settings: Mapping[str, str], own: Mapping[str, bytes] | None = None
    ) -> dict[str, bytes]:
        """Fill in its configs, by file; what is given as ``own`` is taken as it is."""
        given = own or {}
        return {
            file: given[file] if file in given else _fill(_read(f"{self.folder}/{file}"), settings).encode()
            for file in self.files
        }


STACKS = (
    Stack("control", "network control, and docker-api on it: a part of the engine's API for your operators"),
    Stack("service-balancer", "the operator that rebalances when a node joins", agent=True),
    Stack(
        "traefik",
        "the entry layer: ports 80 and 443 of on-demand nodes, routed by host name to the services' tasks",
        files=("traefik.yml", "dynamic.yml"),
        networks=("entry",),
        needs=(NETWORK,),
        keeps_data=True,
    ),
    Stack(
        "es",
        "the store of all logs: Elasticsearch",
        files=("elasticsearch.yml", "check.sh"),
        networks=(LOGGING,),
        secrets=("elastic-password", "kibana-password", "logstash-password"),
        keeps_data=True,
    ),
    Stack(
        "kb",
        "the page on which people search the logs: Kibana",
        files=("kibana.yml",),
        networks=(LOGGING,),
        secrets=("kibana-password",),
    ),
    Stack(
        "log",
        "what takes log lines and hands them to the store: Logstash",
        files=("logstash.yml", "logstash.conf"),
        networks=(LOGGING,),
        secrets=("logstash-password",),
    ),
    Stack(
        "logspout", "what sends the output of all containers of each node to Logstash", networks=(LOGGING,)
    ),
)
# One stack for each function: `envoy-orders` stands in front of `orders`.
PROXIES = Stack(
    f"{ENVOY}-NAME",
    "a proxy in front of the function NAME: retries, circuit breaking, traces",
    template=ENVOY,
    files=(ENVOY_CONFIG,),
    networks=("entry",),
)


def named(name: str) -> Stack:
    """Find the stack of that name. Raises AgentError where there is none."""
    for stack in STACKS:
        if stack.name == name:
            return stack
    if _PROXY.match(name):
        return replace(PROXIES, name=name)
    known = ", ".join(stack.name for stack in (*STACKS, PROXIES))
    raise AgentError(f"there is no stack {name!r}; the stacks are {known}")


def is_ours(name: str) -> bool:
    """Tell whether a stack of that name is one of these."""
    return bool(_PROXY.match(name)) or name in {stack.name for stack in STACKS}


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
    for name in set(SWITCHES) & set(settings):
        if settings[name] not in ("0", "1"):
            raise AgentError(f"setting {name} must be 0 or 1, not {settings[name]!r}")
    for name, value in settings.items():
        if name.endswith("_SUBNET"):
            _check_subnet(name, settings[name.replace("_SUBNET", "_DRIVER")], value)
    return settings


def check_known(given: Iterable[str], stack: Stack) -> None:
    """AgentError for a given setting that the stack does not have."""
    for name in set(given) - set(stack.defaults):
        known = ", ".join(sorted(stack.defaults))
        raise AgentError(f"stack {stack.name} has no setting {name!r}; its settings are {known}")


def setting_of(network: str, what: str) -> str:
    """Name the setting of a network: ``ELK_NET_SUBNET``."""
    return f"{network.upper().replace('-', '_')}_{what}"


def check_free(subnet: str, networks: Iterable[Network], name: str = NETWORK) -> None:
    """AgentError where that network exists otherwise than it shall, or its range overlaps another's."""
    known = tuple(networks)
    for network in known:
        if network.name == name:
            _check_ours(network, subnet)
    if found := find_overlap(subnet, known, name):
        network, taken = found
        raise AgentError(
            f"range {subnet} of network {name} overlaps {taken} of network {network.name}: choose "
            f"another one with --set and the setting {setting_of(name, 'SUBNET')}"
        )


def parts(agent: bytes) -> dict[str, bytes]:
    """Cut the agent into configs, by name: ``agent-<hash>-1`` and so on, in order."""
    digest = hashlib.sha256(agent).hexdigest()[:16]
    cuts = range(0, len(agent), CONFIG_BYTES)
    return {f"agent-{digest}-{number}": agent[cut : cut + CONFIG_BYTES] for number, cut in enumerate(cuts, 1)}


def name_configs(stack: Stack, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Name configs after their content, by file: Swarm's configs never change, so a change is a new name."""
    return {
        file: f"{stack.name}-{file}-{hashlib.sha256(content).hexdigest()[:12]}"
        for file, content in contents.items()
    }


def rendered(
    stack: Stack,
    settings: Mapping[str, str],
    agent: Mapping[str, bytes],
    names: Mapping[str, str] | None = None,
) -> str:
    """Fill in the compose file; ``agent`` and the configs, by their ``names``, lie as files beside it."""
    # JSON is YAML too. The targets are numbered so that the shell's * has them in order.
    mounts = [{"source": name, "target": f"/agent/{number:03}"} for number, name in enumerate(agent, 1)]
    files = {name: {"name": name, "file": f"./{name}"} for name in agent}
    computed = {"AGENT_MOUNTS": json.dumps(mounts), "AGENT_PARTS": json.dumps(files)}
    computed |= {re.sub(r"\W", "_", file).upper(): name for file, name in (names or {}).items()}
    computed["PROXY"] = stack.name.removeprefix(f"{ENVOY}-") + "-proxy"
    text = _fill(stack.source, settings)
    return _COMPUTED.sub(lambda found: computed[found[1]], text)


def _read(place: str) -> str:
    return resources.files("bootstrap").joinpath(f"stacks/{place}").read_text("utf-8")


def _fill(text: str, settings: Mapping[str, str]) -> str:
    """Fill in settings; keep a line with ``# where NAME`` only if that setting is neither empty nor 0."""

    def choose(found: re.Match[str]) -> str:
        return f"{found[1]}\n" if (settings[found[3]] not in ("", "0")) == (found[2] == "where") else ""

    return _SETTING.sub(lambda found: settings[found[1]], _CHOSEN.sub(choose, text))


def _check_seconds(name: str, value: str) -> None:
    if not re.fullmatch(r"\d+(\.\d+)?", value):
        raise AgentError(f"setting {name} must be a number of seconds, not {value!r}")


def _check_subnet(name: str, driver: str, subnet: str) -> None:
    try:
        check_inside(driver, subnet)
    except AgentError as error:
        raise AgentError(f"setting {name}: {error}") from None


def _check_ours(network: Network, subnet: str) -> None:
    if network.name == NETWORK and network.stack != NETWORK:
        raise AgentError(
            f"there is a network {NETWORK} that no stack made: remove it (docker network rm {NETWORK})"
        )
    if subnet not in network.subnets:
        setting, kept = setting_of(network.name, "SUBNET"), next(iter(network.subnets), "")
        how = f"stack rm {NETWORK}" if network.name == NETWORK else f"docker network rm {network.name}"
        raise AgentError(
            f"network {network.name} has range {', '.join(network.subnets)}, and cannot be changed: deploy "
            f"with --set {setting}={kept}, or remove what is on it first ({how})"
        )
