"""The documents of the project, taken apart: links, anchors, tables, commands, pictures."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
ARROW = re.compile(r"^ *(\w+) --> (\w+) *$", re.MULTILINE)
LABEL = re.compile(r'\["([^"]+)"\]')
COMMENT = re.compile(r"\s#\s.*$")
REDIRECTION = re.compile(r"<<< '([^']*)'")


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path below the root."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def prose(self) -> str:
        """The text without its code blocks."""
        return FENCE.sub("", self.text)

    @property
    def anchors(self) -> frozenset[str]:
        """What a link can point to, named as GitHub does."""
        return frozenset(_anchor(heading) for heading in HEADING.findall(self.prose))

    @property
    def links(self) -> tuple[str, ...]:
        """Where relative links point to."""
        found = LINK.findall(self.prose)
        return tuple(link for link in found if not link.startswith(("https://", "http://", "mailto:")))

    @property
    def spans(self) -> tuple[str, ...]:
        """Code inside sentences."""
        return tuple(SPAN.findall(self.prose))

    def blocks(self, language: str) -> tuple[str, ...]:
        """Code blocks of a language."""
        return tuple(text for _, kind, text in FENCE.findall(self.text) if kind == language)

    def section(self, heading: str) -> str:
        """Read what stands under a heading, up to the next one of its level; fails where there is none."""
        found = re.search(
            rf"^(#+) {re.escape(heading)}$\n(.*?)(?=^\1 |\Z)", self.text, re.MULTILINE | re.DOTALL
        )
        assert found, f"{self.name} has no heading {heading!r}"
        return found[2]

    @property
    def commands(self) -> tuple[str, ...]:
        """Each command line that it shows, in blocks of shell and in sentences."""
        lines = [line for block in self.blocks("sh") for line in _joined(block)]
        return (*lines, *self.spans)


def page(name: str) -> Page:
    """Read the page of that name."""
    return Page(ROOT / name)


def pages() -> tuple[Page, ...]:
    """Every document of the project."""
    top = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    return (*map(page, top), *map(Page, sorted((ROOT / "docs").rglob("*.md"))))


def rows(text: str) -> Iterator[list[str]]:
    """List the cells of each row of the tables in a text, without heads."""
    lines = text.splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if not line.startswith("|") or set(line) <= set("|-: ") or not before.startswith("|"):
            continue
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def code(cell: str) -> list[str]:
    """Read what a cell shows as code."""
    return SPAN.findall(cell)


def first_column(text: str) -> list[str]:
    """List the code in the first cell of each row."""
    return [name for row in rows(text) for name in code(row[0])]


def arrows(picture: str) -> frozenset[tuple[str, str]]:
    """List the arrows of a mermaid picture without texts on them."""
    return frozenset(ARROW.findall(picture))


def boxes(picture: str) -> tuple[tuple[str, ...], ...]:
    """List the labels of a mermaid picture from top to bottom, each cut where it names several things."""
    return tuple(tuple(label.split(" · ")) for label in LABEL.findall(picture))


def words(command: str) -> list[str]:
    """Split a command line into words; what cannot be cut is one word."""
    bare = COMMENT.sub("", REDIRECTION.sub("", command))
    try:
        return shlex.split(bare)
    except ValueError:
        return [bare]


def payload(command: str) -> str:
    """Read what a command line is given on stdin; "" for nothing."""
    found = REDIRECTION.search(command)
    return found[1] if found else ""


def _joined(block: str) -> Iterator[str]:
    """List the lines of a shell block, those that are continued put together."""
    text = block.replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.strip().startswith("#"):
            yield line.strip()


def _anchor(heading: str) -> str:
    plain = LINK.sub(lambda found: found[0].partition("]")[0][1:], heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
