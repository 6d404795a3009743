"""What is wrong with a description: all of it at once, one line each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str, ...]  # to a field: the names from the top of the file to it


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong; ``text`` names field, value and what is allowed."""

    path: Path
    text: str


class DescriptionError(Exception):
    """A description cannot be taken; ``lines`` says everything that is wrong with it."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("; ".join(self.lines))


def write(path: Path) -> str:
    """Write a path as people do, such as ``engine.version``; the whole file is ``the file``."""
    return ".".join(path) or "the file"
