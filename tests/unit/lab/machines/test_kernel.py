"""Labs leave the machine's kernel as it was, also after a run that crashed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import state
from tests.lab.machines import kernel

BEFORE = {
    "ipv4/ip_forward": "0",
    "ipv4/neigh/default/gc_thresh1": "128",
    "ipv4/neigh/default/gc_thresh2": "40000",
    "ipv4/neigh/default/gc_thresh3": "1024",
}
DURING = {
    **BEFORE,
    "ipv4/ip_forward": "1",
    "ipv4/neigh/default/gc_thresh1": "4096",
    "ipv4/neigh/default/gc_thresh3": "32768",
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the settings of a machine that has had no lab, and whose kernel does not filter bridged frames."""
    monkeypatch.setattr(state, "ROOT", tmp_path / "labs")
    monkeypatch.setattr(kernel, "SETTINGS", tmp_path / "net")
    for name, value in BEFORE.items():
        path = tmp_path / "net" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return tmp_path / "net"


def shown(settings: Path) -> dict[str, str]:
    paths = (path for path in settings.rglob("*") if path.is_file())
    return {str(path.relative_to(settings)): path.read_text().strip() for path in paths}


def test_only_the_last_lab_puts_back_what_was_before_the_first(settings: Path) -> None:
    for name, slot in (("one", 0), ("other", 1)):
        state.create(name, "blue", [slot])
        kernel.adapt()
        assert shown(settings) == DURING
    state.forget("one")
    kernel.restore()
    assert shown(settings) == DURING
    state.forget("other")
    kernel.restore()
    assert shown(settings) == BEFORE
    assert not (state.ROOT / "kernel.json").exists()


def test_what_a_crashed_run_changed_is_put_back_by_the_next(settings: Path) -> None:
    state.create("one", "blue", [0])
    kernel.adapt()
    (settings / "ipv4/ip_forward").write_text("0")  # the machine was started anew meanwhile
    kernel.adapt()
    state.forget("one")
    kernel.restore()
    assert shown(settings) == BEFORE


def test_a_machine_that_never_had_a_lab_is_left_alone(settings: Path) -> None:
    kernel.restore()
    assert shown(settings) == BEFORE


def test_bridged_frames_pass_where_the_kernel_filters_them() -> None:
    name = "bridge/bridge-nf-call-iptables"
    assert kernel.changes({name: "1"})[name] == "0"
    assert kernel.changes({name: "0"}) == {}
    assert name not in kernel.changes({"ipv4/ip_forward": "0"})
