"""The engine's own configuration on this host; its labels a running engine takes over at SIGHUP."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bootstrap.errors import AgentError

SETTINGS = Path("/etc/docker/daemon.json")
PID = Path("/var/run/docker.pid")


class DaemonError(AgentError):
    """The engine's configuration cannot be read, written or taken over; the text says what to fix."""


class Daemon:
    """The engine's settings file and its process. Every method raises DaemonError."""

    def __init__(self, settings: Path = SETTINGS, pid: Path = PID) -> None:
        self._settings = settings
        self._pid = pid

    def set_labels(self, labels: Mapping[str, str]) -> bool:
        """Write these engine labels beside all that is set already; answers whether the file was changed."""
        settings = self.read()
        wanted = [*_others(settings.get("labels") or [], labels), *map("=".join, sorted(labels.items()))]
        if sorted(settings.get("labels") or []) == sorted(wanted):
            return False
        self.write({**settings, "labels": wanted})
        return True

    def check_labels_can_be_set(self) -> None:
        """Refuse where the engine has labels on its command line: with both it would not start.

        Measured on 26.1: "specified both as a flag and in the configuration file: labels".
        """
        try:
            words = Path(f"/proc/{int(self._pid.read_text())}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):  # no engine runs whose words could be read
            return
        if any(word.partition(b"=")[0] == b"--label" for word in words):
            raise DaemonError(
                f"the engine has labels on its command line, so {self._settings} was left as it is: "
                "remove those (--label), then run systemctl restart docker on this host"
            )

    def reload(self) -> None:
        """Let the running engine read its settings again; containers run on."""
        try:
            os.kill(int(self._pid.read_text()), signal.SIGHUP)
        except (OSError, ValueError) as error:
            raise DaemonError(
                f"no engine takes the signal to reload ({self._pid}: {type(error).__name__}): "
                "run systemctl reload docker on this host"
            ) from error

    def read(self) -> dict[str, Any]:
        """Read all settings; {} where there is no file."""
        try:
            text = self._settings.read_text()
            settings = json.loads(text) if text.strip() else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise DaemonError(f"{self._settings} cannot be read, so it was left as it is: {error}") from error
        if not isinstance(settings, dict):
            raise DaemonError(f"{self._settings} holds no JSON object, so it was left as it is")
        return settings

    def write(self, settings: Mapping[str, Any]) -> None:
        """Write all or nothing: an engine that finds half a file does not start again.

        A symbolic link stays one: what it points to is written, as it may be shared or under version control.
        """
        fresh = ""
        try:
            target = self._settings.resolve()
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, fresh = tempfile.mkstemp(prefix="daemon-", dir=target.parent)
            with os.fdopen(handle, "w") as file:
                json.dump(settings, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            Path(fresh).chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
            Path(fresh).replace(target)
        except (OSError, RuntimeError) as error:  # a link that points to itself
            with suppress(OSError):
                Path(fresh).unlink()
            raise DaemonError(f"{self._settings} cannot be written: {error}") from error


def _others(rows: list[str], labels: Mapping[str, str]) -> list[str]:
    return [row for row in rows if row.partition("=")[0] not in labels]
