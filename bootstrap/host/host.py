"""This host: which instance it is, its engine's settings, its cluster's parameters, and who it can reach."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass, field

from bootstrap.engine.client import PORT
from bootstrap.engine.node import CLUSTER_LABEL, INSTANCE_LABEL, LIFECYCLE_LABEL, TYPE_LABEL, ZONE_LABEL
from bootstrap.errors import AgentError
from bootstrap.host.docker_daemon import Daemon
from bootstrap.host.instance_metadata import Identity, Metadata
from bootstrap.host.parameter_store import Parameters, parameter_name
from chalicelib.protocol.messages import Arguments

ANSWER_TIMEOUT_S = 1.0  # seconds for a manager of the same network to take a connection


@dataclass(frozen=True)
class Host:
    """All that a task needs of the machine besides its engine."""

    metadata: Metadata = field(default_factory=Metadata)
    daemon: Daemon = field(default_factory=Daemon)
    parameters: Parameters | None = None

    def identity(self) -> Identity:
        """Tell which instance this host is. Raises MetadataError."""
        return self.metadata.identity()

    def is_warm(self) -> bool:
        """Tell whether it is in a warm pool, not in service. Raises MetadataError."""
        return self.metadata.is_warm()

    def token(self, cluster: str, role: str) -> str:
        """Read the join token of one role. Raises ParameterError, AgentError where none is stored."""
        name = parameter_name(cluster, role)
        if token := self._store().get(name):
            return token
        raise AgentError(f"there is no join token at {name}: init the first manager, which stores it")

    def store_tokens(self, cluster: str, tokens: dict[str, str]) -> None:
        """Store the join tokens, by role. Raises ParameterError."""
        for role, token in sorted(tokens.items()):
            self._store().put(parameter_name(cluster, role), token)

    def stored_tokens(self, cluster: str) -> dict[str, str]:
        """Read the join tokens that are stored, by role; "" where one is missing. Raises ParameterError."""
        return {role: self._store().get(parameter_name(cluster, role)) for role in ("manager", "worker")}

    def reaches(self, address: str) -> bool:
        """Tell whether a swarm manager takes connections at the address."""
        with suppress(OSError), socket.create_connection((address, PORT), ANSWER_TIMEOUT_S):
            return True
        return False

    def _store(self) -> Parameters:
        return self.parameters or Parameters(self.metadata)


def cluster_of(arguments: Arguments) -> str:
    """Read the cluster that the arguments are for. Raises AgentError."""
    if cluster := arguments.labels.get(CLUSTER_LABEL):
        return cluster
    raise AgentError(f"the arguments do not tell the cluster: give it as the label {CLUSTER_LABEL}")


def labels_of(identity: Identity) -> dict[str, str]:
    """List the labels that services can place by."""
    return {
        INSTANCE_LABEL: identity.instance,
        ZONE_LABEL: identity.zone,
        TYPE_LABEL: identity.kind,
        LIFECYCLE_LABEL: identity.lifecycle,
    }
