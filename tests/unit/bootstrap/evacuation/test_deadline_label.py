"""What a node's label tells of its evacuation deadline, and which order may change it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, Node
from bootstrap.evacuation import deadline_label

NODE = Node("n1", 1, {}, "ready", "", "n1", {}, ("", ""), 0, 0, "")


def node(label: str, availability: str = "pause") -> Node:
    labels = {EVACUATION_DEADLINE_LABEL: label} if label else {}
    return replace(NODE, spec={"Availability": availability, "Labels": labels})


@pytest.mark.parametrize(
    ("label", "until", "version"),
    [("120", 120.0, 0), ("120 7", 120.0, 7), ("", None, 0), ("soon 7", None, 7), ("120 x", 120.0, 0)],
)
def test_a_label_tells_when_and_by_which_order(label: str, until: float | None, version: int) -> None:
    assert (node(label).evacuation_deadline, deadline_label.version(node(label))) == (until, version)


@pytest.mark.parametrize("version", [0, 7])
def test_what_is_written_is_read(version: int) -> None:
    written = node(deadline_label.text(120.4, version, node("")))
    assert (written.evacuation_deadline, deadline_label.version(written)) == (120.0, version)


TABLE = {
    "the first": ("", "pause", 5, 120, 120),
    "on what was made active": ("150 5", "active", 5, 170, 170),
    "the same again": ("120 5", "pause", 5, 120, None),
    "a hurry of the same order": ("120 5", "pause", 5, 110, 110),
    "a hurry by hand": ("120 5", "pause", 0, 110, 110),
    "an older one that is nearer": ("120 5", "pause", 4, 110, None),
    "a newer one that is nearer": ("120 5", "pause", 6, 110, 110),
    "a newer one, later than what is ahead": ("120 5", "pause", 6, 130, 120),
    "a newer one after what is over": ("90 5", "pause", 6, 130, 130),
    "an older one after what is over": ("90 5", "pause", 4, 130, None),
    "by hand after what is over": ("90 5", "pause", 0, 130, 130),
    "by hand, but over already": ("90 5", "pause", 0, 95, None),
}


@pytest.mark.parametrize(
    ("label", "availability", "order", "deadline", "expected"), TABLE.values(), ids=TABLE
)
def test_an_order_at_100_sets_the_deadline(
    label: str, availability: str, order: int, deadline: float, expected: float | None
) -> None:
    assert deadline_label.new_deadline(order, deadline, node(label, availability), 100.0) == expected


GENTLE_TABLE = {
    "an announced end that is later": ("110 5 kept", 6, False, 120, 120),
    "an announced end by hand": ("110 5 kept", 0, False, 120, 120),
    "an announced end of an older order": ("110 5 kept", 4, False, 120, None),
    "a nearer order without one": ("120 5 kept", 6, True, 110, 110),
    "the same order again": ("120 5 kept", 5, True, 120, None),
}


@pytest.mark.parametrize(
    ("label", "order", "gentle", "deadline", "expected"), GENTLE_TABLE.values(), ids=GENTLE_TABLE
)
def test_an_announced_end_has_its_whole_time_after_an_order_without_one_at_100(
    label: str, order: int, *, gentle: bool, deadline: float, expected: float | None
) -> None:
    assert deadline_label.new_deadline(order, deadline, node(label), 100.0, gentle=gentle) == expected
