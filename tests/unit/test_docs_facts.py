"""The tables and pictures of the documents are those of the code, in both directions."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

import app as deployed
from bootstrap.describe.describing import describe
from bootstrap.describe.schema import load_schema
from bootstrap.describe.stack_settings import networks_of
from bootstrap.stacks.catalog import PROXIES, STACKS
from chalicelib import events
from chalicelib.actions import Action
from chalicelib.admin.calls import CALLS
from chalicelib.events.parsing import DRILL
from chalicelib.metrics import Metric
from chalicelib.state.lifecycle import LEGAL_CHANGES, WORK, NodeState
from chalicelib.state.settings import ClusterSettings
from tests.lab.machines import engines
from tests.unit.support.pages import ROOT, Page, arrows, boxes, code, first_column, page, rows

CONFIG = json.loads((ROOT / ".chalice" / "config.json").read_text())
ENVIRONMENT = ROOT / "chalicelib" / "environment.py"
LONGEST = 300  # characters of a message; docstrings of several lines are longer
AGENT_SCRIPT = ROOT / "chalicelib" / "adapters" / "agent.sh"


def test_the_metrics_are_those_of_the_code() -> None:
    assert sorted(first_column(page("docs/metrics.md").text)) == sorted(metric.value for metric in Metric)


def test_the_cluster_settings_and_their_defaults_are_those_of_the_code() -> None:
    settings = rows(_configuration("Cluster settings"))
    table = {code(row[0])[0]: json.loads(_quoted(code(row[1])[0])) for row in settings}
    assert table == {one.name: one.default for one in fields(ClusterSettings)}


def test_the_environment_is_that_of_the_stages() -> None:
    table = {code(row[0])[0] for row in rows(_configuration("Environment of a stage"))}
    assert table == set(CONFIG["stages"]["prod"]["environment_variables"])
    assert table == set(CONFIG["stages"]["dev"]["environment_variables"])
    read = set(re.findall(r'environment(?:\.get\(|\[)"([A-Z_]+)"', ENVIRONMENT.read_text()))
    assert read & table
    by_lambda = read - table
    assert by_lambda == {"AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "_HANDLER"}
    assert all(f"`{name}`" in _configuration("Environment of a stage") for name in by_lambda)


def test_the_manual_calls_and_their_fields_are_those_of_the_code() -> None:
    table = {}
    for row in rows(page("docs/operations.md").section("Manual calls")):
        shown = " ".join(code(row[1]))
        table[code(row[0])[0]] = set(re.findall(r'[{,] *"(\w+)"', shown))
    wanted = {name: set(known) - {"dry_run"} for name, (known, _) in CALLS.items()}
    assert table == wanted


def test_the_settings_of_the_stacks_are_those_of_their_files() -> None:
    table = {
        (code(row[1])[0], (code(row[2]) or [""])[0])
        for name in ("docs/service-balancer.md", "docs/stacks.md")
        for row in rows(page(name).section("Settings"))
    }
    stacks = (*STACKS, PROXIES)
    assert table == {(name, value) for stack in stacks for name, value in stack.defaults.items()}


def test_the_events_are_the_handlers_with_exactly_their_patterns() -> None:
    table = {code(row[0])[0]: (code(row[1]), code(row[2])) for row in rows(page("docs/events.md").text)}
    wanted = {}
    for source in deployed.app.event_sources:
        if pattern := getattr(source, "event_pattern", None):
            sources = [
                one for one in pattern["source"] if one != DRILL
            ]  # the page tells of drills once, for all
            wanted[source.name] = (sources, pattern["detail-type"])
    assert table == wanted | {"tick": ([], [])}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("docs/architecture.md", "chalicelib"),
        ("docs/architecture.md", "bootstrap"),
        ("docs/lab.md", "tests/lab"),
    ],
)
def test_each_room_is_told_of(name: str, place: str) -> None:
    rooms = {path.parent.relative_to(ROOT).as_posix() + "/" for path in (ROOT / place).glob("*/__init__.py")}
    told = {one for one in first_column(page(name).text) if one.startswith(f"{place}/") and one.endswith("/")}
    assert told == rooms


def test_the_engines_of_the_lab_are_those_that_it_knows() -> None:
    table, _, _ = page("docs/lab.md").section("Engines").partition("What differs")
    assert set(first_column(table)) == set(engines.NAMES)


def test_the_state_diagram_is_the_table_of_legal_changes() -> None:
    (picture,) = [one for one in _architecture().blocks("mermaid") if one.startswith("stateDiagram")]
    legal = {(start.value, end.value) for start, ends in LEGAL_CHANGES.items() for end in ends}
    assert {(one.replace("_", "-"), two.replace("_", "-")) for one, two in arrows(picture)} == legal


def test_the_table_of_states_names_the_work_of_each() -> None:
    table = {code(row[0])[0]: code(row[1]) for row in rows(_architecture().section("The life of a node"))}
    assert table == {state.value: [WORK[state].task.value] if state in WORK else [] for state in NodeState}


def test_each_function_on_the_way_of_a_warning_stands_in_its_file() -> None:
    way, _, _ = _architecture().section("One Spot warning, file by file").partition("On the manager")
    for row in rows(way):
        for name in code(row[2]):
            assert re.search(rf"(def|class) {name}\b", (ROOT / code(row[1])[0]).read_text()), row[:3]


@pytest.mark.parametrize(
    ("heading", "contract"),
    [("Rooms and layers: handlers", "layers"), ("Rooms and layers: agent", "agent-layers")],
)
def test_the_picture_of_the_layers_is_that_of_the_import_contracts(heading: str, contract: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one["id"] == contract]
    picture = re.search(r"```mermaid\n(.*?)```", _architecture().section(heading), re.DOTALL)
    assert picture
    wanted = [{room.strip() for room in layer.split("|")} for layer in layers]
    assert [set(box) for box in boxes(picture[1])] == wanted
    names = re.findall(r"(\w+)\[", picture[1])
    assert re.findall(r"(\w+)(?:\[[^\]]*\])? --> (\w+)", picture[1]) == list(pairwise(names))


def test_the_new_names_of_actions_and_events_in_the_changelog_are_those_of_the_code() -> None:
    text = page("CHANGELOG.md").section("The house is put in order")
    renamed_actions = [code(row[1])[0] for row in rows(text.replace("\n  |", "\n|"))]
    kept = re.search(r"Kept are (.*?)\. New since is (.*?)\.", text, re.DOTALL)
    assert kept
    assert sorted(renamed_actions + code(kept[1]) + code(kept[2])) == sorted(
        kind.__name__ for kind in get_args(Action)
    )
    renamed = re.findall(r"`\w+` is\s+`(\w+)`", text)
    assert renamed
    assert set(renamed) <= set(events.__all__)


@pytest.mark.parametrize("section", ["Tags and labels that you set", "Labels that Swarmkeeper sets"])
def test_each_label_and_tag_is_one_of_the_code(section: str) -> None:
    names = [name.partition("=")[0] for row in rows(_configuration(section)) for name in code(row[1])]
    assert names
    for name in names:
        assert re.search(rf"{re.escape(name)}(?![\w.]*\w)", _sources()), name


def test_each_stored_name_of_the_glossary_is_one_of_the_code() -> None:
    names = [name for row in rows(page("docs/glossary.md").text) for name in code(row[-1])]
    assert names
    for name in names:
        assert re.split(r"[…<]|i-…", name)[0].removesuffix("i-") in _sources(), name


@pytest.mark.parametrize(
    ("name", "section"),
    [("docs/troubleshooting.md", ""), ("docs/rebalancing.md", "When a service is left as it is")],
)
def test_each_message_that_is_explained_is_one_of_the_code(name: str, section: str) -> None:
    text = page(name).section(section) if section else page(name).text
    shown = first_column(text)
    assert shown
    for message in shown:
        assert any(_says(said, message) for said in _texts()), f"no code says {message!r}"


def _architecture() -> Page:
    return page("docs/architecture.md")


def _configuration(heading: str) -> str:
    return page("docs/configuration.md").section(heading)


def _quoted(value: str) -> str:
    """Write a default as JSON."""
    return value if re.fullmatch(r'true|false|[0-9.]+|""', value) else json.dumps(value)


@cache
def _sources() -> str:
    """All code of the product as one text."""
    found = (path for place in ("chalicelib", "bootstrap") for path in (ROOT / place).rglob("*"))
    return "\n".join(path.read_text() for path in found if path.suffix in (".py", ".sh", ".yml", ".json"))


def _says(said: str, message: str) -> bool:
    """Whether more than half of the message stands in a text of the code, in order; the rest is filled in."""
    words = re.sub(r"…|\b[0-9]+\b", " ", message).split()
    place, at, found = 0, 0, 0
    while at < len(words):
        ends = range(len(words), at + (len(words) > 2), -1)
        run = next((end for end in ends if " ".join(words[at:end]) in said[place:]), at)
        if run > at:
            text = " ".join(words[at:run])
            place = said.index(text, place) + len(text)
        found, at = found + run - at, max(run, at + 1)
    return 2 * found > len(words)


@cache
def _texts() -> tuple[str, ...]:
    """Every text in the code of the product, with … for what is filled in."""
    script = AGENT_SCRIPT.read_text()
    fixes = [one for line in re.findall("fix = .*", script) for one in re.findall(r'"([^"]+)"', line)]
    whole = "\n".join(script.replace("{fix}", one) for one in fixes)
    found = re.sub(r"\{\w+\}|\$\w+", "…", whole).splitlines()
    for place in ("chalicelib", "bootstrap"):
        for path in (ROOT / place).rglob("*.py"):
            found += [_text(node) for node in ast.walk(ast.parse(path.read_text()))]
    return tuple(text for text in found if 0 < len(text) < LONGEST)


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values):
            return "".join(_text(part) or "…" for part in values)
        case _:
            return ""


def test_each_row_of_what_somebody_can_do_names_the_tests_that_show_it() -> None:
    table = list(rows(page("docs/security.md").section("What somebody can do at worst")))
    assert len(table) > 15
    for row in table:
        named = re.findall(r"`(tests/[\w/]+/test_\w+\.py)`(?: \(`(test_\w+)`\))?", row[-1])
        assert named, f"{row[0]}, who tries {row[1]}"
        for file, test in named:
            assert f"def {test or 'test_'}" in (ROOT / file).read_text(), f"{file}: {test}"
        assert not row[-1].startswith("the same")


def test_the_fields_of_a_description_are_those_of_the_schema() -> None:
    table = [name for row in rows(page("docs/platform.md").section("Fields")) for name in code(row[0])]
    assert sorted(table) == sorted(_fields(load_schema()["properties"]))


def test_the_stacks_that_can_be_described_are_the_agents() -> None:
    table = {code(row[0])[0]: tuple(code(row[2])) for row in rows(page("docs/platform.md").section("Stacks"))}
    assert table == {stack.name: networks_of(stack) for stack in STACKS}


def test_the_table_of_profiles_shows_what_stands_in_them() -> None:
    for row in rows(page("docs/platform.md").section("Profiles")):
        for name, cell in zip(("book", "current"), row[1:], strict=True):
            text = (ROOT / "bootstrap" / "describe" / "profiles" / f"{name}.yaml").read_text()
            shown = re.findall(r"[\w./-]*:?v?[0-9]+\.[0-9]+\.[0-9]+", cell)
            assert all(one in text for one in shown), row


@pytest.mark.parametrize("example", page("docs/platform.md").blocks("yaml"))
def test_each_description_on_the_page_is_a_good_one(example: str, tmp_path: Path) -> None:
    (tmp_path / "blue.yaml").write_text(example)
    assert describe(tmp_path / "blue.yaml").description.name == "blue"


def _fields(properties: dict[str, Any], before: str = "") -> Iterator[str]:
    """List the paths of all fields whose names are fixed, but for those around others."""
    for name, schema in properties.items():
        inner = schema.get("properties", schema.get("else", {}).get("properties"))
        if name in ("host", "engine", "network", "source") and inner:
            yield from [f"{before}{name}"] if name == "source" else []
            yield from _fields(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}"
