"""The search for tokens reads all that stays on disks, leaves the stores out, and outlives what vanishes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.observe.token_leaks import files_below


def test_every_file_is_found_but_for_those_in_the_stores(tmp_path: Path) -> None:
    for name in ("a.log", "hosts/one/upper0/var/log", "hosts/one/docker/x", "ministack/state"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    stores = {tmp_path / "ministack", tmp_path / "hosts/one/docker"}
    found = {str(path.relative_to(tmp_path)) for path in files_below(tmp_path, stores)}
    assert found == {"a.log", "hosts/one/upper0/var/log"}


def test_a_directory_that_vanishes_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    look = os.scandir

    def vanishing(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("b"):
            (tmp_path / "b" / "file").unlink()
            (tmp_path / "b").rmdir()
        return look(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert {path.parent.name for path in files_below(tmp_path)} == {"a", "c"}
