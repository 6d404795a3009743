"""When an armed fault strikes, and when it is used up."""

import pytest

from tests.lab.faults.armed_faults import Fault, Faults, Kind, parse
from tests.lab.state import LabError

SEND = "ssm:SendCommand"


@pytest.mark.parametrize(
    ("fault", "strikes"),
    [
        (Fault(Kind.REFUSE, SEND), "x..."),
        (Fault(Kind.REFUSE, SEND, left=2), "xx.."),
        (Fault(Kind.REFUSE, SEND, skip=2), "..x."),
        (Fault(Kind.REFUSE, SEND, left=2, skip=1), ".xx."),
        (Fault(Kind.REFUSE, SEND, left=-1), "xxxx"),
        (Fault(Kind.REFUSE, left=1), "x..."),
        (Fault(Kind.REFUSE, "ec2:DescribeInstances"), "...."),
        (Fault(Kind.REFUSE, SEND, who="tick"), "...."),
        (Fault(Kind.DROP, SEND), "...."),
    ],
)
def test_a_fault_strikes_what_it_matches_as_often_as_it_says(fault: Fault, strikes: str) -> None:
    faults = Faults()
    faults.arm(fault)
    struck = [faults.strike({Kind.REFUSE}, SEND, "on_warning") for _ in strikes]
    assert "".join("x" if one else "." for one in struck) == strikes


def test_the_oldest_fault_strikes_first() -> None:
    faults = Faults()
    for kind in (Kind.DELAY, Kind.DROP):
        faults.arm(Fault(kind))
    struck = [faults.strike({Kind.DROP, Kind.DELAY}, "any") for _ in range(3)]
    assert [one.kind if one else None for one in struck] == [Kind.DELAY, Kind.DROP, None]


def test_faults_are_cleared_by_kind_or_by_what_they_lie_on() -> None:
    faults = Faults()
    for fault in (Fault(Kind.FREEZE, "a", -1), Fault(Kind.PAUSE, "a", -1), Fault(Kind.FREEZE, "b", -1)):
        faults.arm(fault)
    assert [fault.match for fault in faults.clear(match="a")] == ["a", "a"]
    assert faults.standing(Kind.FREEZE, "b")
    assert len(faults.clear(Kind.FREEZE)) == 1
    assert faults.rows() == []


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"kind": "explode"},
        {"kind": "drop", "left": 0},
        {"kind": "drop", "skip": -1},
        {"kind": "drop", "x": 1},
    ],
)
def test_nonsense_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(LabError):
        parse(row)
