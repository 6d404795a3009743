"""What is read from the engine's JSON where it is not as plain as it looks."""

from __future__ import annotations

import pytest

from bootstrap.reading import read_task


@pytest.mark.parametrize(
    ("worker", "manager", "since"),
    [
        ("2026-01-01T00:05:00Z", "2026-01-01T00:00:02.5Z", "2026-01-01T00:00:02.5Z"),
        ("2026-01-01T00:00:02Z", "2026-01-01T00:00:09Z", "2026-01-01T00:00:02Z"),
        ("2026-01-01T00:00:02Z", "", "2026-01-01T00:00:02Z"),
    ],
)
def test_a_worker_whose_clock_runs_ahead_does_not_make_its_tasks_young(
    worker: str, manager: str, since: str
) -> None:
    status = {"State": "running", "Timestamp": worker}
    row = {"ID": "t1", "Status": status, "DesiredState": "running", "UpdatedAt": manager}
    assert read_task(row).since == since
