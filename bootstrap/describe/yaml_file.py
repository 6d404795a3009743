"""A YAML file as plain values, and on which line each field stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from bootstrap.describe.faults import DescriptionError, Path, write

MAX_BYTES = 200_000
MAX_LEVELS = 20


@dataclass(frozen=True)
class YamlFile:
    """The values of a file, and the line of each path in it."""

    name: str
    value: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Find the line of a field, or of the nearest one around it; 0 where there is none."""
        around = (path[:length] for length in range(len(path), 0, -1))
        return next((self.lines[one] for one in around if one in self.lines), 0)

    def locate(self, path: Path) -> str:
        """Say where a field stands: ``blue.yaml:7``."""
        line = self.line(path)
        return f"{self.name}:{line}" if line else self.name


@dataclass
class _Walk:
    """One walk through the nodes of a file."""

    name: str
    loader: yaml.SafeLoader
    lines: dict[Path, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def value(self, node: yaml.Node | None, path: Path = ()) -> Any:
        if node is None:
            return None
        if len(path) > MAX_LEVELS:
            raise DescriptionError([f"{self.name}: it is deeper than {MAX_LEVELS} levels"])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one, (*path, str(number))) for number, one in enumerate(node.value)]
        return self.loader.construct_object(node, deep=True)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self.loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for name, inner in node.value:
            inside = (*path, str(name.value))
            line = name.start_mark.line + 1
            if inside[-1] in found:
                self.wrong.append(f"{self.name}:{line}: {write(inside)} stands there twice")
            self.lines[inside] = line
            found[inside[-1]] = self.value(inner, inside)
        return found


def read_yaml(path: FilePath) -> YamlFile:
    """Read a file. Raises DescriptionError where it is no YAML, or names a field twice."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise DescriptionError([f"{path}: it cannot be read ({type(error).__name__})"]) from None
    if len(text) > MAX_BYTES:
        raise DescriptionError([f"{path}: it is longer than {MAX_BYTES} characters"])
    try:
        loader = yaml.SafeLoader(text)
        walk = _Walk(str(path), loader)
        value = walk.value(loader.get_single_node())
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise DescriptionError([_explain(path, error)]) from None
    if walk.wrong:
        raise DescriptionError(walk.wrong)
    return YamlFile(str(path), value, walk.lines)


def _explain(path: FilePath, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or error
    return f"{where}: it is no YAML: {' '.join(str(what).split())}"
