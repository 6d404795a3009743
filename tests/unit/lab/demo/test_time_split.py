"""Where the time goes, from hand-made journals and runs."""

from __future__ import annotations

from tests.lab.demo.findings.time_split import Handler, Split, handlers, split
from tests.lab.observe.handlers import Run
from tests.lab.observe.journal import Call, CommandChange

WARNED = "swarmkeeper-lab-on_spot_interruption_warning"
TICK = "swarmkeeper-lab-tick"


def call(time: float, action: str, who: str, worker: int, memory: int = 0) -> Call:
    """Make a call that was answered."""
    return Call(time, action, who, 200, 0.01, worker, memory)


def change(time: float, status: str, comment: str = "evacuate demo") -> CommandChange:
    """Make a status of our command."""
    return CommandChange(time, "c", "i-0", status, status, comment)


def run(function: str, began: float, ended: float) -> Run:
    """Make a run without lines."""
    return Run(function, "r", began, ended, ())


def test_each_step_is_told_in_seconds_from_the_event() -> None:
    journal = (
        call(60.0, "ssm:SendCommand", WARNED, 1),  # before the event
        call(101.5, "dynamodb:GetItem", WARNED, 7),
        call(101.8, "ssm:SendCommand", WARNED, 7),
        change(101.9, "Pending"),
        change(102.0, "InProgress"),
        change(108.0, "Success"),
        change(130.0, "InProgress", "leave demo"),
    )
    assert split([run(WARNED, 100.1, 103.0)], journal, 100.0, 4.0) == Split(0.1, 1.5, 1.8, 2.0, 4.0, 8.0)


def test_no_handler_no_split() -> None:
    assert split([run(TICK, 100.1, 103.0), run(WARNED, 80.0, 81.0)], (), 100.0, 4.0) is None


def test_the_first_run_of_a_process_is_a_cold_one() -> None:
    journal = (
        call(12.0, "dynamodb:Query", TICK, 5, 60_000),
        call(20.1, "dynamodb:Query", TICK, 5, 71_680),
    )
    runs = (run(TICK, 10.0, 12.5), run(TICK, 20.0, 20.3))
    assert handlers(runs, journal) == (Handler("tick", 2, 2.5, 0.3, 70.0),)


def test_two_cold_runs_at_once_are_both_cold() -> None:
    journal = (call(12.0, "dynamodb:Query", TICK, 5), call(12.1, "dynamodb:Query", TICK, 6))
    runs = (run(TICK, 10.0, 13.0), run(TICK, 10.1, 13.5))
    assert handlers(runs, journal) == (Handler("tick", 2, 3.2, None, 0.0),)


def test_a_warm_run_beside_a_cold_one_stays_warm() -> None:
    journal = (
        call(2.0, "dynamodb:Query", TICK, 5),
        call(10.1, "dynamodb:Query", TICK, 5),
        call(12.0, "dynamodb:Query", TICK, 6),
    )
    runs = (run(TICK, 0.0, 3.0), run(TICK, 10.0, 12.5), run(TICK, 9.9, 13.0))
    found = handlers(runs, journal)
    assert (found[0].cold, found[0].warm) == (3.05, 2.5)
