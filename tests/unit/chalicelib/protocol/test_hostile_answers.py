"""Whatever a host prints: a result that is validated to the letter, or one line of error, in bounded time."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.protocol.codec import (
    MAX_STDOUT,
    decode_arguments,
    decode_result,
    encode_arguments,
    encode_result,
)
from chalicelib.protocol.inventory import Inventory, ReportedHost, ReportedNetwork, ReportedStack
from chalicelib.protocol.messages import (
    AgentTask,
    Arguments,
    Balance,
    End,
    Fate,
    Listing,
    Mode,
    NodeReport,
    Rebalance,
    Result,
    ServiceReport,
    SpreadReport,
    Target,
    Way,
)
from chalicelib.protocol.network_order import NetworkOrder
from chalicelib.protocol.strict_json import ProtocolError
from tests.unit.support.hostile import CHANGES, JSON, find_unfilled, mutate

pytestmark = pytest.mark.fuzz
WORKER, OTHER = "i-0123456789abcdef0", "i-0123456789abcdef1"
TARGET = Target(
    WORKER,
    "10.0.0.1",
    "abc",
    3,
    "worker",
    "eu-central-1a",
    "m7g.large",
    "spot",
    '{"disk":"ssd"}',
    End.ANNOUNCED,
)
COUNTS = {"before": {"ip-1": 3}, "plan": {"ip-1": 2}, "after": {"ip-2": 3}}
RESULT = Result(
    AgentTask.EVACUATE,
    ok=True,
    nodes=(NodeReport(WORKER, "abc", Fate.SAFE, "3 tasks", 1.5, differs=True, labels='{"disk":"ssd"}'),),
    services=(ServiceReport("web", 3, Way.START_FIRST, 1.5, "as asked for"),),
    error="it broke",
    left_out=2,
    facts={"nodes": [{"node": "abc"}], "balanced": 3, "moving": ["web"]},
    spreads=(
        SpreadReport("web", Balance.MOVED, Mode.ROLLING, 3, 1, 1.5, "uneven", warnings=("slow",), **COUNTS),
    ),
    wait=3.0,
    listing=Listing(3, (TARGET,), 1, 2, ("abc",), ("abe",)),
    inventory=Inventory(
        (
            ReportedHost(
                *(WORKER, "abc", "0123456789abcdef", "28.5.2", "overlay2", "json-file", {"max-size": "10m"}),
                live_restore=True,
                plugin="net:1",
            ),
        ),
        (ReportedNetwork("control", "overlay", ("10.32.100.0/24",), ("10.32.100.1",), attachable=True),),
        (ReportedStack("control", "0123456789abcdef", settings={"REGISTRY": ""}),),
    ),
)
ORDER = NetworkOrder(
    *("net:1", "10.32.0.0/12", 3, "control", "10.32.100.0/24", "10.32.100.1", "ip-1", "10.0.0.9"),
    forget_only=True,
    dry_run=True,
)
ASKED = Arguments(
    (TARGET, Target(OTHER, "10.0.0.2")),
    1.5,
    ("10.0.0.3",),
    "worker",
    {"a": "b"},
    Rebalance(("web",), "surge", dry_run=True, max_moves=3, settle=1.5, cooldown=2.5),
    inspection=7,
    sent=1.0,
    fresh=True,
    network=ORDER,
    description='{"name":"blue"}',
)
GENUINE: dict[str, Any] = json.loads(encode_result(RESULT))
ARGUMENTS: dict[str, Any] = json.loads(encode_arguments(ASKED))
LISTING: dict[str, Any] = {
    **GENUINE["listing"],
    "down": [
        *GENUINE["listing"]["down"],
        {**GENUINE["listing"]["down"][0], "instance": OTHER, "node": "abd"},
    ],
}
HUGE = "9" * 5000
WRONG: list[dict[str, Any]] = [
    {"ok": 1},
    {"task": ["evacuate"]},
    {"unknown": 1},
    {"left_out": -1},
    {"left_out": 1.5},
    {"facts": {"nodes": 7}},
    {"facts": {"nodes": ["x"]}},
    {"facts": []},
    {"nodes": {}},
    {"nodes": [[]]},
    {"nodes": [{"instance": WORKER, "node": "abc"}]},
    {"nodes": [{"instance": [WORKER], "node": "abc", "fate": "safe"}]},
    {"nodes": [{"instance": {"a": 1}, "node": "abc", "fate": "safe"}]},
    {"nodes": [{"instance": WORKER, "node": "A;b", "fate": "safe"}]},
    {"nodes": [{"instance": WORKER, "node": "a" * 65, "fate": "safe"}]},
    {"nodes": [{"instance": WORKER, "node": "abc\n", "fate": "safe"}]},
    {"nodes": [{"instance": WORKER, "node": None, "fate": "safe"}]},
    {"nodes": [{"instance": "i-x", "node": "abc", "fate": "safe"}]},
    {"nodes": [{"instance": WORKER, "node": "abc", "fate": {}}]},
    {"nodes": [{"instance": WORKER, "node": "abc", "fate": "safe", "detail": 7}]},
    {"nodes": [{"instance": WORKER, "node": "abc", "fate": "safe", "seconds": "7"}]},
    {"services": [{"service": "web", "tasks": True, "way": "drain", "seconds": 1}]},
    {"spreads": [{"service": "web", "balance": "moved", "moves": 10**12}]},
    {"spreads": [{"service": "web", "balance": "moved", "before": {"ip-1": "3"}}]},
    {"spreads": [{"service": "web", "balance": "moved", "warnings": "slow"}]},
    {"listing": {"parts": 0}},
    {"listing": {"ids": "abc"}},
    {"listing": {"down": [1] * 2001}},
    {"inventory": {"hosts": "x"}},
    {"inventory": {"hosts": [{}] * 2001}},
    {"inventory": {"stacks": 1}},
    {"inventory": {"unknown": []}},
]


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def check(stdout: str) -> None:
    """Decode: what is taken holds only what records, logs and messages can hold."""
    try:
        result = decode_result(stdout)
    except ProtocolError as error:
        assert str(error).isprintable()  # noqa: PT017 - both ways are good ones
        return
    for text in texts(vars(result)):
        assert text.isprintable()
        text.encode()
    assert decode_result(encode_result(result)).nodes == result.nodes


def texts(value: Any) -> list[str]:
    """List all texts in a value, and see that each number is one to reckon with."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for text in texts(pair)]
    if isinstance(value, (list, tuple)):
        return [text for one in value for text in texts(one)]
    if isinstance(value, float):
        assert math.isfinite(value)
    return texts(vars(value)) if hasattr(value, "__dict__") else []


@pytest.mark.parametrize(
    "stdout",
    [
        "[" * MAX_STDOUT,
        '{"a":' * 4000,
        '{"task":"evacuate","ok":true,"facts":' + '{"a":' * 13 + "1" + "}" * 14,
        "[" * 100_000,
        '{"task":"evacuate","ok":true,"error":"' + "x" * MAX_STDOUT + '"}',
        '{"task":"evacuate","ok":true,"ok":true}',
        '{"task":"evacuate","ok":true,"facts":{"a":1,"a":2}}',
        f'{{"task":"evacuate","ok":true,"left_out":{HUGE}}}',
        *(f'{{"task":"evacuate","ok":true,"wait":{wait}}}' for wait in ("1e999", "Infinity", "NaN", "-1e12")),
        *(dump({**GENUINE, **wrong}) for wrong in WRONG),
    ],
    ids=lambda text: text[:40],
)
def test_an_answer_that_is_none_is_refused_in_one_line(stdout: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_result(stdout)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_texts_are_cut_and_made_printable() -> None:
    hostile = "a\nb\x1b[31m\u202e\ud800" + "x" * 2000
    found = decode_result(
        dump({**GENUINE, "error": hostile, "nodes": [{**GENUINE["nodes"][0], "detail": hostile}]})
    )
    assert found.error == found.nodes[0].detail == "a b [31m  " + "x" * 990


def test_in_a_listing_only_rows_that_are_none_are_left_out() -> None:
    """A manager lists what other hosts call themselves: their words must not silence it."""
    down = [
        {"instance": "i-evil", "address": "10.0.0.1"},
        {"instance": WORKER, "address": "10.0.0.1", "node": "abc"},
        {"instance": OTHER, "address": "fe80::1"},
        "x",
    ]
    listing = decode_result(
        dump({**GENUINE, "listing": {"nodes": 4, "down": down, "ids": ["abc", "A b", 7]}})
    ).listing
    assert listing == Listing(4, (Target(WORKER, "10.0.0.1", "abc"),), ids=("abc",))


def test_in_an_inventory_only_rows_that_are_none_are_left_out() -> None:
    good = {"instance": WORKER, "version": "28.5.2\n", "live_restore": False, "plugin": ""}
    bad = [
        {"instance": "i-evil"},
        {"instance": OTHER, "description": "no digest"},
        {"instance": OTHER, "live_restore": "no"},
        {"instance": OTHER, "log_options": {"max-size": 10}},
        {"instance": OTHER, "log_options": {str(number): "" for number in range(101)}},
        {"instance": OTHER, "more": ""},
        7,
    ]
    answer = dump({**GENUINE, "inventory": {"hosts": [*bad, good], "stacks": [{"name": "a"}, {}]}})
    host = ReportedHost(WORKER, version="28.5.2 ", live_restore=False, plugin="")
    assert decode_result(answer).inventory == Inventory((host,), None, (ReportedStack("a"),))


@pytest.mark.parametrize("genuine", [RESULT, ASKED])
def test_the_search_begins_with_every_field_there_is(genuine: object) -> None:
    """Only what is there is changed: a field that its sample leaves out would never be tried."""
    assert find_unfilled(genuine) == set()
    for whole, told in ((RESULT, GENUINE), (ASKED, ARGUMENTS)):
        assert len(told) == len(fields(whole)), "some have other names there"
    assert set(LISTING["down"][0]) >= {field.name for field in fields(Target)} - {"end"}
    assert find_unfilled(replace(RESULT, wait=0.0, nodes=())) == {"Result.wait", "Result.nodes"}


@given(CHANGES)
def test_a_listing_with_changes_is_read_but_for_its_bad_rows(
    changes: list[tuple[list[int], object]],
) -> None:
    listing = mutate(LISTING, changes)
    line = dump({**GENUINE, "listing": listing})
    check(line)
    try:
        found = decode_result(line).listing
    except ProtocolError:
        return
    good = [row for row in LISTING["down"] if isinstance(listing, dict) and row in listing.get("down", [])]
    assert {row["instance"] for row in good} <= {target.instance for target in (found.down if found else ())}


@given(JSON)
def test_any_json_is_a_result_or_one_line_of_error(value: object) -> None:
    check(dump(value))


@pytest.mark.parametrize("left_out", [None, []])
@given(changes=CHANGES)
def test_arguments_likewise(
    left_out: list[tuple[str, str]] | None, changes: list[tuple[list[int], object]]
) -> None:
    try:
        decode_arguments(dump(mutate(ARGUMENTS, changes)), left_out)
    except ProtocolError as error:
        assert str(error).isprintable()  # noqa: PT017 - both ways are good ones


@given(CHANGES)
def test_a_genuine_result_with_changes_likewise(changes: list[tuple[list[int], object]]) -> None:
    check(dump(mutate(GENUINE, changes)))


@given(st.text(st.characters()) | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_likewise(text: str) -> None:
    check(text)


@given(st.integers(0, len(dump(GENUINE))), st.text(st.characters(), max_size=5), st.integers(0, 20))
def test_a_genuine_line_with_other_characters_in_it_likewise(at: int, text: str, gone: int) -> None:
    line = dump(GENUINE)
    check(line[:at] + text + line[at + gone :])
