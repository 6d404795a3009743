"""The rooms stay small: few modules in a folder, few lines in a file; and one word means one thing."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.support.pages import page, rows

ROOT = Path(__file__).parents[2]
PRODUCT = ("chalicelib", "bootstrap")
MAX_MODULES = 12
MAX_LINES = 250  # of code
MAX_NAME = 80  # characters of a test's name
WORD = re.compile(r"[A-Z]?[a-z]+")
FROM_A_TEST = re.compile(r"^(from|import) tests\.([\w.]+\.)?test_\w+ ", re.MULTILINE)
VERBS = {"look"}  # as verbs these go on as what they always meant
# Former words in what is stored, deployed or answered, which keeps its name, by the file that has to say so.
STORED = {
    "chalicelib/adapters/dynamodb/discoveries.py": {"census"},
    "chalicelib/adapters/dynamodb/items.py": {"census", "errand"},
    "chalicelib/adapters/dynamodb/jobs.py": {"errand"},
    "chalicelib/adapters/dynamodb/plain_items.py": {"census"},
    "chalicelib/admin/status.py": {"census", "errand"},
    "chalicelib/admin/waiting.py": {"errand"},
    "chalicelib/metrics.py": {"foreign"},
    "chalicelib/rules/cluster/jobs.py": {"errand"},
    "chalicelib/rules/incidents.py": {"census", "errand"},
    "chalicelib/state/stored_names.py": {"remedy"},
}


def list_modules(*rooms: str) -> list[Path]:
    return [ROOT / "app.py"] + [path for room in rooms for path in (ROOT / room).rglob("*.py")]


def count_lines(path: Path) -> int:
    lines = (line.strip() for line in path.read_text().splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def list_texts() -> list[Path]:
    """List all files of the product in which a person reads or writes words."""
    places = (*PRODUCT, ".chalice")
    found = (path for place in places for path in (ROOT / place).rglob("*") if path.is_file())
    texts = (path for path in found if path.suffix in (".py", ".sh", ".txt", ".yml", ".yaml", ".json"))
    return [ROOT / "app.py", ROOT / "Makefile", *texts]


def former_words() -> dict[str, str]:
    """Return each form of the words that the glossary has replaced, and the word itself."""
    table = rows(page("docs/glossary.md").section("Words that are no longer used"))
    words = {word for row in table for word in row[0].split(", ")} - VERBS
    forms = {form: word for word in words for form in (word, f"{word}s", f"{word}ed", f"{word}ing")}
    return forms | {f"{word[:-1]}ies": word for word in words if word.endswith("y")}


def test_no_folder_holds_more_modules_than_one_remembers() -> None:
    others = ("__init__", "__main__", "conftest")
    modules = list_modules(*PRODUCT, "tests", "bench")
    folders = Counter(path.parent.relative_to(ROOT) for path in modules if path.stem not in others)
    assert {folder for folder, number in folders.items() if number > MAX_MODULES} == set()


@pytest.mark.parametrize("path", list_modules(*PRODUCT), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_of_the_product_is_long(path: Path) -> None:
    assert count_lines(path) <= MAX_LINES


def test_no_module_imports_from_a_test_what_is_shared_stands_in_support() -> None:
    found = [path for path in list_modules("tests", "bench") if FROM_A_TEST.search(path.read_text())]
    assert found == []


def test_no_test_has_a_name_too_long_to_read_at_once() -> None:
    trees = [ast.parse(path.read_text()) for path in list_modules("tests")]
    names = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [name for name in names if name.startswith("test_") and len(name) > MAX_NAME] == []


def test_no_file_of_the_product_uses_a_word_that_the_glossary_has_replaced() -> None:
    former, found = former_words(), dict[str, set[str]]()
    for path in list_texts():
        words = {word.lower() for word in WORD.findall(path.read_text())}
        if used := {former[word] for word in words & former.keys()}:
            found[str(path.relative_to(ROOT))] = used
    assert found == STORED
