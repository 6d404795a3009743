"""The picture of a rebalance: bars that fit the screen, also for a big swarm."""

from __future__ import annotations

from chalicelib.protocol.bar_chart import picture
from chalicelib.protocol.messages import Balance, SpreadReport

MOVED = SpreadReport(
    "web",
    Balance.MOVED,
    moves=3,
    before={"host-1": 5, "host-2": 4},
    plan={"host-1": 3, "host-2": 3, "host-3": 3},
    after={"host-1": 4, "host-2": 3, "host-3": 2},
    warnings=("mind the gap",),
)


def test_tasks_per_node_are_shown_before_and_after() -> None:
    assert picture([MOVED], planned=False) == [
        "web: moved, 3 moves (surge)",
        "  warning: mind the gap",
        "  node    before                          after",
        "  host-1  ##### 5                         #### 4",
        "  host-2  #### 4                          ### 3",
        "  host-3  0                               ## 2",
    ]


def test_a_plan_is_shown_where_nothing_was_done_yet() -> None:
    lines = picture([MOVED], planned=True)
    assert lines[2].split() == ["node", "before", "plan"]
    assert lines[-1].split() == ["host-3", "0", "###", "3"]


def test_a_balanced_service_is_one_line() -> None:
    report = SpreadReport("web", Balance.BALANCED, reason="3 on 3 nodes", before={"a": 3}, after={"a": 3})
    assert picture([report], planned=False) == ["web: balanced: 3 on 3 nodes"]


def test_of_many_nodes_those_that_change_most_are_shown_and_the_others_summed_up() -> None:
    before = {f"a-host-with-a-very-long-name-{number:04}.example.internal": 900 for number in range(99)}
    after = {**before, "a-host-with-a-very-long-name-0098.example.internal": 10, "new": 890}
    report = SpreadReport("w" * 200, Balance.MOVED, moves=890, before=before, after=after)
    lines = picture([report], planned=False)
    assert all(len(line) <= 100 for line in lines)
    assert len(lines) == 1 + 1 + 20 + 1
    assert lines[-1] == "  and 80 other nodes with 72000 tasks before, 72000 then"
    assert any("######################## 900" in line and "# 10" in line for line in lines)
