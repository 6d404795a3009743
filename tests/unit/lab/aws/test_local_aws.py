"""The lab's AWS runs handlers with the Python that they are deployed for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.lab.aws.local_aws import ministack
from tests.lab.state import LabError


def test_a_ministack_of_another_python_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, body in {"ministack": "", "python": "echo 3.9"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("SWARMKEEPER_MINISTACK", str(tmp_path / "ministack"))
    with pytest.raises(LabError, match=r"is Python 3\.9, but the handlers .* run: make clean install"):
        ministack()
    (tmp_path / "python").unlink()
    (tmp_path / "python").symlink_to(sys.executable)
    assert ministack()[0] == str(tmp_path / "python")
