"""What an engine has on its disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.engine.decode import has_raft_state, is_autolocked


@pytest.mark.parametrize(
    ("first", "expected"),
    [("-----BEGIN ENCRYPTED PRIVATE KEY-----", True), ("-----BEGIN PRIVATE KEY-----", False)],
)
def test_an_encrypted_key_means_autolocked(tmp_path: Path, first: str, *, expected: bool) -> None:
    key = tmp_path / "swarm/certificates/swarm-node.key"
    key.parent.mkdir(parents=True)
    key.write_text(f"{first}\nkek-version: 49\n")
    assert is_autolocked({"DockerRootDir": str(tmp_path)}) is expected


def test_an_engine_without_anything_on_its_disk_is_neither(tmp_path: Path) -> None:
    info = {"DockerRootDir": str(tmp_path)}
    assert not is_autolocked(info)
    assert not has_raft_state(info)
    (tmp_path / "swarm/raft").mkdir(parents=True)
    assert has_raft_state(info)
