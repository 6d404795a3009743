"""The lab's journal: AWS calls, delivered events and what became of commands, one JSON line each."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.state import Lab


@dataclass(frozen=True)
class Call:
    """One AWS call, answered with ``status`` after ``seconds``; 0 where the caller was killed.

    ``who`` is a function's or host's name or "lab"; ``worker`` the handler's process id, ``memory`` its
    peak so far in KiB. ``fault`` tells what was done to the call.
    """

    time: float
    action: str
    who: str
    status: int
    seconds: float
    worker: int = 0
    memory: int = 0
    fault: str = ""


@dataclass(frozen=True)
class Delivery:
    """One event and the functions it was sent to; ``fault`` is drop, delay or double where one struck."""

    time: float
    event: dict[str, Any]
    functions: tuple[str, ...]
    fault: str = ""


@dataclass(frozen=True)
class CommandChange:
    """One host's command entering a status; ``code`` is -1 until the script has ended."""

    time: float
    command: str
    instance: str
    status: str
    details: str
    comment: str
    code: int = -1


@dataclass(frozen=True)
class Trouble:
    """Something of the lab itself that went wrong, such as a target that it cannot reach."""

    time: float
    message: str


Entry = Call | Delivery | CommandChange | Trouble
_KINDS: Mapping[str, Callable[..., Entry]] = {
    kind.__name__: kind for kind in (Call, Delivery, CommandChange, Trouble)
}


@dataclass(frozen=True)
class Journal:
    """Where entries are written, in the order of their writing."""

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, entry: Entry) -> None:
        """Append one entry."""
        line = json.dumps({"kind": type(entry).__name__, **asdict(entry)})
        with self._lock, self.path.open("a") as file:
            file.write(line + "\n")


def path(lab: Lab) -> Path:
    """Where a lab's journal lies."""
    return lab.directory / "journal.jsonl"


def read(lab: Lab, since: float = 0.0) -> list[Entry]:
    """All entries from that time (seconds since the epoch) on, oldest first."""
    if not path(lab).exists():
        return []
    entries = map(_entry, path(lab).read_text().splitlines())
    return sorted((entry for entry in entries if entry.time >= since), key=lambda entry: entry.time)


def follow(lab: Lab, poll: float = 0.2) -> Iterator[Entry]:
    """Every entry from now on, as it is written; never ends."""
    path(lab).touch()
    with path(lab).open() as file:
        file.seek(0, 2)
        rest = ""
        while True:
            rest += file.readline()
            if rest.endswith("\n"):
                yield _entry(rest)
                rest = ""
            else:
                time.sleep(poll)


def _entry(line: str) -> Entry:
    row = json.loads(line)
    kind = _KINDS[row.pop("kind")]
    if "functions" in row:
        row["functions"] = tuple(row["functions"])
    return kind(**row)
