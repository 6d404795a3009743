"""What the agent asks of an engine about managed plugins and networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from docker import APIClient

from bootstrap.engine.connection import ANSWER_TIMEOUT_S, Connection, check
from bootstrap.engine.networking.plugin import Plugin, read_plugin
from bootstrap.errors import RefusedError

PULL_TIMEOUT_S = 300  # without a word of the engine: it fetches from a registry
START_TIMEOUT_S = 60  # for a plugin to start or to end


class NetworkCalls(Connection):
    """Calls of one engine. Every method raises EngineError where it is refused or not answered."""

    def plugins(self) -> tuple[Plugin, ...]:
        """List the managed plugins."""
        return self._rows("list its plugins", APIClient.plugins, read_plugin)

    def pull_plugin(self, reference: str, settings: Mapping[str, str]) -> None:
        """Fetch a plugin with all the rights that it asks for, and set its variables; it is not started."""
        what = f"fetch plugin {reference}"
        with self._patient(what, PULL_TIMEOUT_S) as api:
            rights = api.plugin_privileges(reference)
            for line in api.pull_plugin(reference, rights):
                if error := line.get("error"):
                    raise RefusedError(f"the engine could not {what}: {error}")
            if settings:
                api.configure_plugin(reference, dict(settings))

    def enable_plugin(self, name: str) -> None:
        """Start a plugin."""
        with self._patient(f"start plugin {name}", START_TIMEOUT_S) as api:
            api.enable_plugin(name, START_TIMEOUT_S // 2)

    def disable_plugin(self, name: str) -> None:
        """End a plugin; refused where networks of it are in use on this host."""
        with self._patient(f"end plugin {name}", START_TIMEOUT_S) as api:
            api.disable_plugin(name)

    def remove_plugin(self, name: str) -> None:
        """Remove a plugin that has ended, with all that it has written into its own file system."""
        with self._patient(f"remove plugin {name}", START_TIMEOUT_S) as api:
            api.remove_plugin(name)

    def create_network(self, spec: Mapping[str, Any]) -> str:
        """Make a network; answers its id."""
        what = f"create network {spec['Name']}"
        with self._translated(what, START_TIMEOUT_S):
            answer = self._api.post(self._url("/networks/create"), json=spec, timeout=START_TIMEOUT_S)
            check(answer)
            return str(answer.json()["Id"])

    def remove_network(self, network: str) -> None:
        """Remove the network of that id."""
        with self._translated(f"remove network {network}"):
            self._api.remove_network(network)

    def publishers(self) -> Sequence[str]:
        """Name the services that publish a port through the routing mesh."""
        with self._translated("list services"):
            return sorted(filter(None, map(_publisher, self._api.services())))

    @contextmanager
    def _patient(self, what: str, seconds: int) -> Iterator[APIClient]:
        """Let the engine take its time: such calls of the SDK take no time of their own."""
        with self._translated(what, seconds):
            api = self._api
            api.timeout = seconds
            try:
                yield api
            finally:
                api.timeout = ANSWER_TIMEOUT_S


def _publisher(row: Mapping[str, Any]) -> str:
    ports = (row["Spec"].get("EndpointSpec") or {}).get("Ports") or []
    through_mesh = any(port.get("PublishMode", "ingress") == "ingress" for port in ports)
    return str(row["Spec"]["Name"]) if through_mesh else ""
