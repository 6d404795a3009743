"""Counts requests while they are still being made."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tail:
    """Reads what was appended to a file of answers since the last look. Keys are (service, good or not)."""

    path: Path
    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)
    seconds: dict[str, dict[int, bool]] = field(default_factory=dict)
    _offset: int = 0

    def look(self) -> None:
        """Read on."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._count(json.loads(line))

    def services(self) -> list[str]:
        """List the services asked so far."""
        return sorted({service for service, _ in self.counts})

    def _count(self, row: dict[str, object]) -> None:
        service, good, second = str(row["service"]), bool(row["ok"]), int(float(str(row["time"])))
        self.counts[service, good] += 1
        seconds = self.seconds.setdefault(service, {})
        seconds[second] = seconds.get(second, True) and good
