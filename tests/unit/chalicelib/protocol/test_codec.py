"""Messages between handlers and hosts survive the way, and what is not a message is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.protocol.codec import (
    MAX_LINE,
    decode_arguments,
    decode_result,
    encode_arguments,
    encode_result,
)
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
from chalicelib.protocol.strict_json import ProtocolError

TARGETS = st.builds(
    Target,
    st.from_regex(r"i-[0-9a-f]{17}", fullmatch=True),
    st.from_regex(r"10\.0\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
    st.from_regex(r"[a-z0-9]{0,25}", fullmatch=True),
    st.integers(0, 10**6),
    st.sampled_from(["", "manager", "worker"]),
    *(st.from_regex(r"[a-z0-9.-]{0,64}", fullmatch=True) for _ in range(3)),
)
# Printable: neither separators but the space, nor control characters and the like.
PRINTABLE = st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S"), include_characters=" ")
TEXTS = st.text(PRINTABLE, max_size=300)
IDS = st.from_regex(r"[a-z0-9]{0,25}", fullmatch=True)
INSTANCES = st.from_regex(r"i-[0-9a-f]{17}", fullmatch=True)
NODES = st.builds(NodeReport, INSTANCES, IDS, st.sampled_from(Fate), TEXTS, st.floats(0, 100), st.booleans())
SERVICES = st.builds(
    ServiceReport, TEXTS, st.integers(0, 10**9), st.sampled_from(Way), st.floats(0, 100), TEXTS
)


REBALANCES = st.builds(
    Rebalance,
    st.lists(st.text(min_size=1), max_size=3).map(tuple),
    st.sampled_from(["", *(mode.value for mode in Mode)]),
    st.booleans(),
    st.integers(0, 1000),
    st.floats(0, 1e5),
    st.floats(0, 1e5),
)
TASKS_BY_HOST = st.dictionaries(TEXTS, st.integers(0, 9), max_size=3)
LISTINGS = st.builds(
    Listing,
    st.integers(0, 9),
    st.lists(TARGETS, max_size=3).map(tuple),
    st.integers(0, 9),
    st.integers(1, 9),
    st.lists(IDS, max_size=3).map(tuple),
)
SPREADS = st.builds(
    SpreadReport,
    TEXTS,
    st.sampled_from(Balance),
    st.sampled_from(Mode),
    st.integers(0, 9),
    st.integers(0, 9),
    st.floats(0, 100),
    TEXTS,
    st.lists(TEXTS, max_size=2).map(tuple),
    TASKS_BY_HOST,
    TASKS_BY_HOST,
    TASKS_BY_HOST,
)


@given(st.lists(TARGETS), st.floats(0, 1e10), REBALANCES, st.integers(0, 10**9), st.floats(0, 1e10))
def test_arguments_survive_the_way(
    targets: list[Target], deadline: float, rebalance: Rebalance, inspection: int, sent: float
) -> None:
    arguments = Arguments(tuple(targets), deadline, rebalance=rebalance, inspection=inspection, sent=sent)
    assert decode_arguments(encode_arguments(arguments)) == arguments


@given(
    st.builds(
        Result,
        st.sampled_from(AgentTask),
        st.booleans(),
        nodes=st.lists(NODES, max_size=5).map(tuple),
        services=st.lists(SERVICES, max_size=5).map(tuple),
        spreads=st.lists(SPREADS, max_size=5).map(tuple),
        wait=st.just(7.0),
        listing=st.none() | LISTINGS,
    )
)
def test_a_result_survives_the_way(result: Result) -> None:
    line = encode_result(result)
    assert "\n" not in line
    assert decode_result(f"something else first\n{line}\n") == result


WARNING = "sys:1: DeprecationWarning: {'ssl': old} [1] is going\n"


BEFORE = ["", WARNING, '{"level": "info"}\n', "\n\n", "note: ", '{"level": "info"}', 'W: dict {"a"} ']
AFTER = ["", "\n" + WARNING * 20, '\n{"level": "info"}\n', "\nbye {", "--output truncated--", ' {"level":1}']


@pytest.mark.parametrize("before", BEFORE, ids=repr)
@pytest.mark.parametrize("after", AFTER, ids=repr)
def test_a_result_is_found_wherever_it_stands(before: str, after: str) -> None:
    result = Result(AgentTask.EVACUATE, ok=True, nodes=(NodeReport("i-0123456789abcdef0", "n", Fate.SAFE),))
    assert decode_result(before + encode_result(result) + after) == result


def test_of_two_results_the_last_one_counts_and_of_two_bad_ones_its_error() -> None:
    first, last = (encode_result(Result(AgentTask.EVACUATE, ok=ok)) for ok in (False, True))
    assert decode_result(f"{first}\n{last}\nbye\n").ok
    with pytest.raises(ProtocolError, match="left_out"):
        decode_result('{"task": 1}\n{"task": "evacuate", "ok": true, "left_out": -1}\nbye')


def test_a_long_result_fits_into_what_run_command_keeps_and_says_what_was_left_out() -> None:
    services = tuple(ServiceReport(f"service-{n}", 1, Way.START_FIRST, 1.0) for n in range(1000))
    line = encode_result(Result(AgentTask.EVACUATE, ok=True, services=services))
    found = decode_result(line)
    assert len(line) <= MAX_LINE
    assert len(found.services) + found.left_out == 1000


def test_of_many_services_those_that_fell_to_the_drain_are_told_first() -> None:
    ways = [Way.DRAIN if n % 10 == 0 else Way.START_FIRST for n in range(1000)]
    services = tuple(
        ServiceReport(f"service-{n:03}", 1, way, 1.0, "its turn did not come") for n, way in enumerate(ways)
    )
    found = decode_result(encode_result(Result(AgentTask.EVACUATE, ok=True, services=services))).services
    assert len([one for one in found if one.way is Way.DRAIN]) == 100
    assert len(found) > 100


def test_a_result_of_many_nodes_fits_too_with_the_fate_of_each() -> None:
    """Run Command would cut the line in its middle: no result at all, and a manager taken for broken."""
    rows = [{"node": "n" * 25, "hostname": f"ip-10-0-0-{n}"} for n in range(1000)]
    nodes = tuple(NodeReport(f"i-{n:017x}", "", Fate.ABSENT, "no such node, " * 20) for n in range(100))
    for result in (
        Result(AgentTask.EVACUATE, ok=False, nodes=nodes),
        Result(AgentTask.LEAVE, ok=False, nodes=nodes, error="\N{SNOWMAN}" * MAX_LINE),
        Result(AgentTask.INSPECT, ok=True, facts={"nodes": rows}),
    ):
        line = encode_result(result)
        found = decode_result(line)
        assert len(line) <= MAX_LINE
        assert [node.fate for node in found.nodes] == [node.fate for node in result.nodes]
        assert len(found.facts.get("nodes", [])) + found.left_out == len(result.facts.get("nodes", []))


@pytest.mark.parametrize("stdout", ["", "hello", "[]", "{}", '{"task": "dance", "ok": true}', '{"task": 1}'])
def test_what_is_no_result_is_refused(stdout: str) -> None:
    with pytest.raises(ProtocolError):
        decode_result(stdout)


def test_what_ec2_says_of_a_target_is_left_out_where_it_is_not_known() -> None:
    """So the arguments of version 0.1 are still written as they were."""
    text = encode_arguments(Arguments((Target("i-0123456789abcdef0", "10.0.0.1", "abc", 3),)))
    assert text == (
        '{"deadline":0.0,"subjects":[{"address":"10.0.0.1","instance":"i-0123456789abcdef0","node":"abc",'
        '"version":3}]}'
    )


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        ({}, End.NOT_SAID),  # by version 0.1
        ({"lasting": True}, End.ANNOUNCED),  # these by handlers before ``end``
        ({"kept": True, "lasting": True}, End.FOR_GOOD),
        ({"kept": True}, End.FOR_A_WHILE),
        *(({"end": end.value}, end) for end in End),
    ],
    ids=str,
)
def test_the_end_of_a_target_is_read_as_all_versions_have_sent_it(sent: dict[str, object], end: End) -> None:
    row = {"instance": "i-0123456789abcdef0", "address": "10.0.0.1", **sent}
    (target,) = decode_arguments(json.dumps({"subjects": [row]})).targets
    assert target.end is end
    assert decode_arguments(encode_arguments(Arguments((target,)))).targets == (target,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "Manager"},
        {"end": "near"},
        {"end": []},
        {"role": 1},
        {"zone": "a b"},
        {"kind": "x" * 65},
        {"lifecycle": 'a"'},
        {"zone": "Z"},
    ],
    ids=str,
)
def test_what_cannot_be_said_of_a_target_is_refused(wrong: dict[str, object]) -> None:
    good = {"instance": "i-0123456789abcdef0", "address": "10.0.0.1"}
    assert decode_arguments(json.dumps({"targets": [good]})).targets
    with pytest.raises(ProtocolError, match=next(iter(wrong))):
        decode_arguments(json.dumps({"targets": [{**good, **wrong}]}))


def test_of_a_hundred_nodes_as_many_labels_are_kept_as_fit() -> None:
    labels = json.dumps({"disk": "s" * 70})
    rows = [NodeReport(f"i-{at:017x}", "n" * 25, Fate.REMOVED, labels=labels) for at in range(100)]
    line = encode_result(Result(AgentTask.LEAVE, ok=True, nodes=tuple(rows)))
    kept = [node for node in decode_result(line).nodes if node.labels]
    assert len(line) <= MAX_LINE
    assert 40 < len(kept) < 100
