"""The engine as a service of this machine: systemctl, else the older service."""

from __future__ import annotations

from pathlib import Path

from bootstrap.errors import AgentError
from bootstrap.machine.programs import Run

START_TIMEOUT_S = 120.0
SYSTEMD = "run/systemd/system"  # is there where systemd runs as process 1
SERVICE = "usr/sbin/service"


class Service:
    """Starts the engine. Every method raises AgentError."""

    def __init__(self, run: Run, root: Path = Path("/")) -> None:
        self._run, self._root = run, root

    @property
    def starter(self) -> str:
        """Name what starts services here; "" where nothing does."""
        if (self._root / SYSTEMD).is_dir():
            return "systemctl"
        return "service" if (self._root / SERVICE).exists() else ""

    def start(self) -> None:
        """Start the engine, at each boot too."""
        self._order("start")

    def restart(self) -> None:
        """Stop the engine, then start it with what is installed and set."""
        self._order("restart")

    def _order(self, verb: str) -> None:
        if self.starter == "systemctl":
            orders = [("systemctl", "enable", "-q", "docker"), ("systemctl", verb, "docker")]
        else:
            orders = [("service", "docker", verb)]
        for words in orders:
            said = self._run(words, START_TIMEOUT_S)
            if said.status:
                log = "journalctl -u docker" if self.starter == "systemctl" else "/var/log/docker.log"
                raise AgentError(f"{' '.join(words)} failed: {said.last_words}; see {log} on this host")
