"""The rooms stay small: few modules in a folder, few lines in a file."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("chalicelib", "bootstrap")
MAX_MODULES = 12
MAX_LINES = 250  # of code
MAX_NAME = 80  # characters of a test's name


def list_modules(*rooms: str) -> list[Path]:
    return [ROOT / "app.py"] + [path for room in rooms for path in (ROOT / room).rglob("*.py")]


def count_lines(path: Path) -> int:
    lines = (line.strip() for line in path.read_text().splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_no_folder_holds_more_modules_than_one_remembers() -> None:
    others = ("__init__", "__main__", "conftest")
    modules = list_modules(*PRODUCT, "tests", "bench")
    folders = Counter(path.parent.relative_to(ROOT) for path in modules if path.stem not in others)
    assert {folder for folder, number in folders.items() if number > MAX_MODULES} == set()


@pytest.mark.parametrize("path", list_modules(*PRODUCT), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_of_the_product_is_long(path: Path) -> None:
    assert count_lines(path) <= MAX_LINES


def test_no_test_has_a_name_too_long_to_read_at_once() -> None:
    trees = [ast.parse(path.read_text()) for path in list_modules("tests")]
    names = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [name for name in names if name.startswith("test_") and len(name) > MAX_NAME] == []
