"""The docker command and a manager, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bootstrap.engine.client import NotManagerError, RefusedError
from bootstrap.engine.config import Config
from bootstrap.engine.network import Network
from bootstrap.stacks.catalog import is_ours
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm


class Manager(FakeSwarm):
    """A manager's engine with networks and configs; ``in_use`` cannot be removed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Network] = [Network("bridge", ("172.17.0.0/16",)), Network("host", ())]
        self.stored: set[str] = set()
        self.in_use: set[str] = set()
        self.secrets: dict[str, bytes] = {}
        self.is_manager = True

    def node_id(self) -> str:
        if not self.is_manager:
            raise NotManagerError("this host is no swarm manager")
        return super().node_id()

    def networks(self) -> tuple[Network, ...]:
        return tuple(self.found)

    def configs_of(self, stack: str) -> tuple[Config, ...]:
        assert is_ours(stack)
        return tuple(Config(f"id-{name}", 1, {"Name": name}) for name in sorted(self.stored))

    def secret_names(self) -> frozenset[str]:
        return frozenset(self.secrets)

    def create_secret(self, name: str, content: bytes) -> None:
        assert name not in self.secrets
        self.secrets[name] = content

    def remove_config(self, config: Config) -> None:
        if config.name in self.in_use:
            raise RefusedError("in use")
        self.stored.remove(config.name)


class Docker:
    """The docker command line: remembers what it was asked, with the files that lay there."""

    def __init__(self, engine: Manager) -> None:
        self.engine = engine
        self.asked: list[tuple[str, ...]] = []
        self.files: dict[str, dict[str, bytes]] = {}

    def __call__(self, words: Sequence[str], stdin: str, directory: Path) -> str:
        self.asked.append(tuple(words))
        name = words[-1]
        if words[1] == "deploy":
            assert "services:\n" in stdin
            self.files[name] = {path.name: path.read_bytes() for path in directory.iterdir()}
            self.engine.add_service(name, Labels={"com.docker.stack.namespace": name})
        return ""
