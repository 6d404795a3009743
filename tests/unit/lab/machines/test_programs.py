"""A program that was started is known as the lab's from the first moment on."""

from __future__ import annotations

from pathlib import Path

from tests.lab.machines import programs

LAB = "swarmkeeper-unit-programs"
STARTS = 200  # before it was waited for, about one start in a hundred was not recognised (measured)


def test_a_started_program_is_the_labs_at_once(tmp_path: Path) -> None:
    pids = []
    try:
        for _ in range(STARTS):
            pids.append(programs.spawn(LAB, ["sleep", "30"], tmp_path / "log"))
            assert programs.is_ours(LAB, pids[-1])
    finally:
        programs.end(LAB, pids)
