"""Hosts run the engine that is asked for, fetched once per machine, or a person is told why they cannot."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.machines import engines, programs
from tests.lab.state import LabError

SID = engines.ENGINES["newest"].suite


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the machine is not of Debian."""
    monkeypatch.setattr(engines, "_own_suite", lambda: "")


@pytest.mark.parametrize(
    ("asked", "environment", "expected"),
    [("", "", "newest"), ("", "debian12", "debian12"), ("28", "debian12", "28")],
)
def test_engine_by_name_before_environment_before_newest(
    monkeypatch: pytest.MonkeyPatch, asked: str, environment: str, expected: str
) -> None:
    monkeypatch.setenv(engines.VARIABLE, environment)
    assert engines.choose(asked) == expected


def test_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"'19'.*machine, debian12, debian13, 28, newest"):
        engines.choose("19")


@pytest.mark.parametrize("name", ["machine", "debian12"])
def test_machines_own_engine_needs_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(engines, "_own_suite", lambda: "bookworm")
    assert engines.prepare(name, tmp_path) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("elsewhere")
def test_prepared_engine_is_not_fetched_again(tmp_path: Path) -> None:
    place = tmp_path / f"engine-{SID}"
    place.mkdir()
    (place / "version").write_text("28.5.2+dfsg4-5")
    assert engines.prepare("28", tmp_path) == engines.prepare("newest", tmp_path) == place / "files"


@pytest.mark.usefixtures("elsewhere")
def test_suite_with_another_version_than_asked_for_is_refused(tmp_path: Path) -> None:
    place = tmp_path / f"engine-{SID}"
    place.mkdir()
    (place / "version").write_text("29.1.0-1")
    with pytest.raises(LabError, match=f"Debian {SID} has engine 29.1.0-1, not 28"):
        engines.prepare("28", tmp_path)


@pytest.mark.usefixtures("elsewhere")
def test_failed_fetch_is_one_line_with_a_way_out_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise LabError("`apt-get update` failed: W: this\nE: cannot reach the mirror")

    monkeypatch.setattr(programs, "run", fail)
    monkeypatch.setattr(engines, "KEYRING", Path("/"))
    with pytest.raises(LabError) as failed:
        engines.prepare("newest", tmp_path)
    assert str(failed.value) == (
        f"the engine of Debian {SID} cannot be had (E: cannot reach the mirror); "
        "to use the machine's own: --engine machine or LAB_ENGINE=machine"
    )
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.usefixtures("elsewhere")
def test_machine_without_debians_keys_is_told_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "KEYRING", tmp_path / "absent")
    with pytest.raises(LabError, match="apt-get install debian-archive-keyring"):
        engines.prepare("newest", tmp_path)


def test_furnished_host_shares_programs_but_has_its_own_settings(tmp_path: Path) -> None:
    files, upper = tmp_path / "files", tmp_path / "upper"
    upper.mkdir()
    for name in ("usr/sbin/dockerd", "etc/default/docker"):
        (files / name).parent.mkdir(parents=True)
        (files / name).write_text(name)
    engines.furnish(files, upper)
    assert (upper / "usr/sbin/dockerd").samefile(files / "usr/sbin/dockerd")
    assert (upper / "etc/default/docker").read_text() == "etc/default/docker"
    assert not (upper / "etc/default/docker").samefile(files / "etc/default/docker")


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no Debian packages on this machine")
def test_package_with_files_in_lib_does_not_hide_the_machines_lib(tmp_path: Path) -> None:
    for name in ("lib/libc.so", "usr/bin/docker", "DEBIAN/control"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True)
        (tmp_path / "tree" / name).write_text(name)
    control = "Package: one\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: one\n"
    (tmp_path / "tree/DEBIAN/control").write_text(control)
    package = tmp_path / "one.deb"
    subprocess.run(["dpkg-deb", "--build", tmp_path / "tree", package], check=True, capture_output=True)
    engines._unpack([package], tmp_path / "files")  # noqa: SLF001
    found = {str(path.relative_to(tmp_path / "files")) for path in (tmp_path / "files").rglob("*")}
    assert found == {"usr", "usr/bin", "usr/bin/docker", "usr/lib", "usr/lib/libc.so"}
