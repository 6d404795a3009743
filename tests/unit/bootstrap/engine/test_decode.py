"""What is read from the engine's JSON where it is not as plain as it looks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.engine.decode import read_node, read_task, rows


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


def test_a_task_tells_the_drivers_of_its_networks() -> None:
    row = {"ID": "t1", "Status": {"State": "running"}, "DesiredState": "running"}
    attachments = [
        {"Network": {"ID": "n1", "DriverState": {"Name": name, "Options": {}}}, "Addresses": ["10.0.0.2/24"]}
        for name in ("weave", "weave")
    ]
    assert read_task({**row, "NetworksAttachments": attachments}).drivers == ("weave",)
    assert read_task({**row, "NetworksAttachments": [{"Network": {"ID": "n1"}}]}).drivers == ()
    assert read_task(row).drivers == ()


def test_a_node_without_an_engine_tells_no_plugins_and_one_without_any_tells_none() -> None:
    row = {"ID": "n1", "Version": {"Index": 1}, "Spec": {}, "Status": {"State": "ready"}}
    assert read_node(row).plugins is None
    assert read_node({**row, "Description": {"Engine": {"EngineVersion": "20.10.24"}}}).plugins == frozenset()


ROWS = st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text(), max_size=3)))


@given(ROWS, st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]))
def test_a_list_is_read_row_by_row_however_it_is_cut(
    listed: list[dict[str, Any]], size: int, plain: bool, indent: int | None
) -> None:
    text = json.dumps(listed, ensure_ascii=plain, indent=indent).encode()
    assert list(rows(text[at : at + size] for at in range(0, len(text), size))) == listed


def test_a_row_is_there_before_the_next_one_has_come() -> None:
    chunks = iter([b'[{"ID":"t1"},{"I', b'D":"t2"}]\n'])
    found = rows(chunks)
    assert next(found) == {"ID": "t1"}
    assert next(chunks) == b'D":"t2"}]\n'


@pytest.mark.parametrize("text", [b"", b"[", b'[{"ID":"t1"},{"ID"', b'[{"ID":"t1"}', b"null", b"<html>"])
def test_a_list_that_breaks_off_is_an_error(text: bytes) -> None:
    with pytest.raises(ConnectionError):
        list(rows([text]))
