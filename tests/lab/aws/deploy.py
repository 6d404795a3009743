"""Deploys the app into a lab with the product's own tools: publish the agent, then ``chalice deploy``."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bootstrap import publish, stages
from tests.lab.aws import account
from tests.lab.machines import cache, programs
from tests.lab.state import ROOT, Lab, LabError

STAGE = "lab"
_PARTS = (
    "app.py",
    "chalicelib",
    "bootstrap",
    ".chalice",
    "requirements.txt",
    "requirements-agent.txt",
    "LICENSE",
)
_TIMEOUT_S = 300


def deploy(lab: Lab, project: Path = programs.PROJECT) -> None:
    """Copy the project, add the lab's stage, publish, deploy; LabError with the tool's words if one fails."""
    app = copy(lab, project)
    environment = {**account.environment(lab), "PYTHONPATH": ""}
    if (app / "bootstrap" / "publish.py").exists():
        offline = _offline(app / "requirements-agent.txt", *publish.PURE)
        _run([sys.executable, "-m", "bootstrap.publish", "--stage", STAGE], app, {**environment, **offline})
    chalice = Path(sys.executable).with_name("chalice")
    offline = _offline(app / "requirements.txt", "--only-binary", ":all:")
    words = [str(chalice), "deploy", "--stage", STAGE]
    _packed_once(app, lambda: _run(words, app, {**environment, **offline}))


def _packed_once(app: Path, deploy: Callable[[], None]) -> None:
    """Deploy with the package that an earlier lab has made of the same files; the first one makes it.

    Chalice finds a package by a digest of all that is in it.
    """
    own = app / ".chalice" / "deployments"

    def make(place: Path) -> None:
        deploy()
        shutil.copytree(own, place)

    kept = cache.prepare(ROOT / "cache" / f"package-{_digest(app)}", make)
    if not own.exists():
        shutil.copytree(kept, own)
        deploy()


def _digest(app: Path) -> str:
    """Compute a digest of what chalice packs, by name."""
    found = hashlib.sha256(sys.version.encode())
    packed = [app / "app.py", app / "requirements.txt", *(app / "chalicelib").rglob("*")]
    for path in sorted(path for path in packed if path.is_file()):
        found.update(f"{path.relative_to(app)}".encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def run_typed(lab: Lab, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a person types it into a shell where the lab's app was deployed."""
    environment = account.environment(lab)
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=lab.directory / "app",
        env={**environment, "PYTHONPATH": "", "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )


def copy(lab: Lab, project: Path) -> Path:
    """Copy the project's deployable parts into the lab's directory and add a stage for the lab."""
    app = lab.directory / "app"
    shutil.rmtree(app, ignore_errors=True)
    app.mkdir()
    skip = shutil.ignore_patterns("__pycache__", "deployed", "deployments")
    for name in _PARTS:
        if (project / name).is_dir():
            shutil.copytree(project / name, app / name, ignore=skip)
        elif (project / name).exists():
            shutil.copy(project / name, app / name)
    _add_stage(app / ".chalice", lab)
    return app


def _add_stage(folder: Path, lab: Lab) -> None:
    """Add the lab's stage: a copy of ``dev``, its handlers pointed at the lab's endpoint."""
    stages.copy_stage("dev", STAGE, folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    config["stages"][STAGE].setdefault("environment_variables", {})["AWS_ENDPOINT_URL"] = lab.endpoint
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def _offline(requirements: Path, *which: str) -> dict[str, str]:
    """Lets pip take wheels from a directory that is filled once per requirements."""
    if not requirements.exists() or not requirements.read_text().strip():
        return {}
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels(ROOT / "cache", requirements, *which))}


def wheels(directory: Path, requirements: Path, *which: str) -> Path:
    """Find the directory of wheels for these options of pip; the first who asks fills it.

    The others wait meanwhile. LabError with pip's words where it fails.
    """
    digest = hashlib.sha256(requirements.read_bytes() + " ".join(which).encode()).hexdigest()[:16]
    download = lambda new: _download(new, requirements, which)  # noqa: E731
    return cache.prepare(directory / f"wheels-{digest}", download)


def _download(place: Path, requirements: Path, which: Sequence[str]) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "10"]
    _run([*pip, "--requirement", str(requirements), "--dest", str(place), *which], place.parent, None)


def _run(argv: list[str], directory: Path, environment: dict[str, str] | None) -> None:
    done = subprocess.run(
        argv,
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise LabError(f"`{' '.join(argv[-4:])}` failed: {' | '.join(said[-4:])}")
