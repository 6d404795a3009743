"""What is kept of a lab is read by every checkout, so that each can take it down."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.lab import state
from tests.lab.state import Host, Lab


def test_a_lab_of_another_version_is_read_without_what_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "ROOT", tmp_path)
    host = Host(
        "ip-172-31-0-11", "manager", "i-0123456789abcdef0", "172.31.0.11", "us-east-1a", "c5.large", "spot"
    )
    lab = Lab("lab", 0, "lab", (host,))
    row = asdict(lab) | {"later": 1}
    row["hosts"] = [asdict(host) | {"tagged": "manager"}]
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "state.json").write_text(json.dumps(row))
    assert state.load("lab") == lab
