"""The documents show only links, files, commands and names that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise

import click
import pytest

import app as deployed
from bootstrap.__main__ import COMMANDS
from bootstrap.stacks.catalog import PROXIES, STACKS, is_ours
from chalicelib.admin.calls import CALLS
from chalicelib.admin.payloads import check_payload
from chalicelib.protocol.messages import AgentTask
from tests.lab.__main__ import cli
from tests.unit.support.pages import ROOT, SPAN, Page, page, pages, payload, rows, words

MAKEFILE = (ROOT / "Makefile").read_text()
PLACES = ("chalicelib/", "bootstrap/", "tests/", "bench/", "docs/", ".chalice/", ".ci/", "tools/")
FILES = ("app.py", "Makefile", "pyproject.toml")
PATH = re.compile(r"[\w.<>*-]+(/[\w.<>*-]*)+")
AGENT = re.compile(r"(.*/)?agent(-\*)?\.pyz|agent")
BUILT = {"chalicelib/agent.json"}  # made by publishing
DECISION = re.compile(r"\bD-[A-Z]+-[0-9]+\b")
POINTER = re.compile(r"(docs/[\w./-]+\.md)(?:#([\w-]+))?")
HEADING = re.compile(r"^## (D-[A-Z]+)-([0-9]+)$", re.MULTILINE)
every_page = pytest.mark.parametrize("document", pages(), ids=lambda document: document.name)


@every_page
def test_each_relative_link_and_anchor_exists(document: Page) -> None:
    for link in document.links:
        file, _, anchor = link.partition("#")
        target = (document.path.parent / file).resolve() if file else document.path
        assert target.exists(), f"{document.name}: {link}"
        assert not anchor or anchor in Page(target).anchors, f"{document.name}: {link}"


@every_page
def test_no_page_uses_a_word_that_the_glossary_has_replaced(document: Page) -> None:
    former = rows(page("docs/glossary.md").section("Words that are no longer used"))
    words_ = {word for row in former for word in row[0].split(", ")} - {"look"}  # a verb in sentences
    found = set(re.findall(r"[a-z]+", SPAN.sub("", document.prose).lower())) & words_
    assert not found or document.name in ("docs/glossary.md", "CHANGELOG.md")


def test_each_page_of_docs_can_be_reached_from_the_readme() -> None:
    reached, todo = set(), [page("README.md")]
    while todo:
        document = todo.pop()
        reached.add(document.path)
        targets = ((document.path.parent / link.partition("#")[0]).resolve() for link in document.links)
        todo += [Page(one) for one in targets if one.suffix == ".md" and one not in reached]
    assert {one.path for one in pages()} <= reached


def test_the_readme_has_at_most_130_lines() -> None:
    assert len(page("README.md").text.splitlines()) <= 130


@every_page
def test_each_file_that_is_named_exists(document: Page) -> None:
    for name in filter(_is_path, document.spans):
        if name not in BUILT:
            pattern = re.sub(r"<\w+>", "*", name).rstrip("/")
            assert any(ROOT.glob(pattern)), f"{document.name}: {name}"


@every_page
def test_each_name_that_is_said_to_stand_in_a_file_does(document: Page) -> None:
    stands = re.findall(r"`(\w+)` in\s+`([\w./]+\.\w+)`", document.prose)
    stands += [(name, file) for file, name in re.findall(r"`([\w./]+\.py)` \(`(\w+)`\)", document.prose)]
    for name, file in stands:
        assert re.search(rf"\b{name}\b", (ROOT / file).read_text()), f"{document.name}: {name} in {file}"


@every_page
def test_each_target_and_variable_of_make_exists(document: Page) -> None:
    for line in _commands(document, "make"):
        for word in line[1:]:
            name, sign, _ = word.partition("=")
            wanted = rf"\$\({name}\)" if sign else rf"^{re.escape(name)}:"
            assert re.search(wanted, MAKEFILE, re.MULTILINE), f"{document.name}: make {word}"


@every_page
def test_each_python_module_that_is_run_exists(document: Page) -> None:
    for line in map(words, document.commands):
        if "-m" in line and line[0].rpartition("/")[2].startswith("python"):
            module = line[line.index("-m") + 1]
            file = ROOT / module.replace(".", "/")
            known = module in {"pytest", "pip", "venv"}
            assert known or file.with_suffix(".py").exists() or (file / "__main__.py").exists(), module
            for path in (word for word in line if word.startswith(PLACES) and "/" in word):
                assert (ROOT / path).exists(), f"{document.name}: {path}"


@every_page
def test_each_command_of_the_lab_exists_with_its_options(document: Page) -> None:
    for line in map(words, document.commands):
        if line[1:3] != ["-m", "tests.lab"] or not line[3:]:
            continue
        command, known = cli.commands.get(line[3]), {"--help"}
        assert command, f"{document.name}: {line[3]}"
        known |= {option for one in command.params if isinstance(one, click.Option) for option in one.opts}
        assert _options(line) <= known, f"{document.name}: {line}"


@every_page
def test_each_manual_call_exists_and_takes_the_payload(document: Page) -> None:
    for command in document.commands:
        line = words(command)
        if not line[0].endswith("chalice") or "-n" not in line:
            continue
        name = line[line.index("-n") + 1]
        assert name in {*deployed.app.handler_map, "<name>"}, f"{document.name}: {name}"
        if text := payload(command).replace("<JSON>", ""):
            check_payload(json.loads(text), CALLS[name][0])


@every_page
def test_each_call_without_the_checkout_exists_and_takes_the_payload(document: Page) -> None:
    for command in document.commands:
        line = words(command)
        if line[:3] != ["aws", "lambda", "invoke"] or "…" in line:
            continue
        given = dict(pairwise(line))
        name = given["--function-name"].removeprefix("swarmkeeper-prod-")
        check_payload(json.loads(given["--payload"]), CALLS[name][0])
        assert given["--cli-binary-format"] == "raw-in-base64-out"
        assert line[-1] == "/dev/stdout"


@every_page
def test_each_task_command_and_setting_of_the_agent_exists(document: Page) -> None:
    known = {task.value for task in AgentTask} | set(COMMANDS) | {"--help"}
    defaults = {name for stack in (*STACKS, PROXIES) for name in stack.defaults}
    for given in filter(None, map(_for_agent, document.commands)):
        assert given[0] in known, f"{document.name}: {given}"
        if given[:2] in (["stack", "deploy"], ["stack", "rm"], ["stack", "remove"]) and given[2:]:
            assert is_ours(given[2]), f"{document.name}: {given}"
        pairs = [given[at + 1] for at, word in enumerate(given) if word == "--set"]
        assert {pair.partition("=")[0] for pair in pairs} <= defaults, f"{document.name}: {given}"


def test_decisions_are_numbered_without_a_gap_and_the_index_says_how_many() -> None:
    index = {row[2]: row[1] for row in rows(page("docs/decisions/README.md").text)}
    for path in sorted((ROOT / "docs/decisions").glob("*.md")):
        if path.name == "README.md":
            continue
        ids = HEADING.findall(path.read_text())
        assert [int(number) for _, number in ids] == list(range(1, len(ids) + 1)), path.name
        (theme,) = {theme for theme, _ in ids}
        assert index[f"[{path.name}]({path.name})"] == f"{theme}-1 to {theme}-{len(ids)}"


def test_each_decision_that_is_cited_exists() -> None:
    code = (path for place in PLACES[:4] for path in (ROOT / place).rglob("*.py"))
    cited = {
        name
        for path in (*code, *(one.path for one in pages()))
        for name in DECISION.findall(path.read_text())
    }
    known = {"-".join(parts) for one in pages() for parts in HEADING.findall(one.text)}
    assert cited <= known


def test_each_page_that_the_code_points_to_exists() -> None:
    texts = (path.read_text() for place in PLACES[:4] for path in (ROOT / place).rglob("*.py"))
    found = {match for text in texts for match in POINTER.findall(text)}
    assert found
    for file, anchor in found:
        assert (ROOT / file).exists(), file
        assert not anchor or anchor in page(file).anchors, f"{file}#{anchor}"


def _commands(document: Page, program: str) -> Iterable[list[str]]:
    found = (words(command) for command in document.commands)
    return (line for line in found if line[:1] == [program] and "…" not in "".join(line))


def _options(line: list[str]) -> set[str]:
    return {word for word in line if word.startswith("--") and word != "--"}


def _for_agent(command: str) -> list[str]:
    """Read what a command line tells the agent; nothing where it is about something else."""
    line = words(command)
    if line[0] == "stack":
        return line
    for at, word in enumerate(line[:2]):
        if AGENT.fullmatch(word) and (at == 0 or line[0].startswith("python")):
            return line[at + 1 :]
    return []


def _is_path(span: str) -> bool:
    return span in FILES or bool(span.startswith(PLACES) and PATH.fullmatch(span))
