"""Publish a stage's agent: build it, make bucket and table, upload, pin it.

Run it before each ``chalice deploy``: the hash that it writes into ``chalicelib/agent.json`` is packed with
the handlers, so that handlers and agent always fit together.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from bootstrap.concurrency import ConcurrencyError, check_concurrency
from bootstrap.foundation import FoundationError, make_foundation
from bootstrap.stages import name_instances

ROOT = Path(__file__).resolve().parent.parent
PIN = ROOT / "chalicelib" / "agent.json"
PYTHON = "3.10"  # the oldest on a host (Ubuntu 22.04)
# Which wheels are packed: one agent for all processors.
PURE = ("--no-deps", "--only-binary", ":all:", "--platform", "any", "--python-version", PYTHON)
WHEEL_INFO, SCRIPTS = ".dist-info", "bin"
LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")  # of wheels without a folder for them
FAILURES = (ConcurrencyError, FoundationError, BotoCoreError, ClientError, subprocess.CalledProcessError)
# Runs where one deploys, never on a host.
DEPLOYS = ("publish.py", "concurrency.py", "foundation.py", "stages.py", "policies", "describe")
EPOCH = (1980, 1, 1, 0, 0, 0)  # one date for all files: the same sources give the same hash


def main() -> int:
    """Publish and say what was published; answers the exit status."""
    parser = argparse.ArgumentParser("python -m bootstrap.publish", description=__doc__)
    parser.add_argument("--stage", help="the Chalice stage, such as dev or prod")
    parser.add_argument("--build-only", metavar="FILE", help="write the agent to FILE and publish nothing")
    options = parser.parse_args()
    if not (options.stage or options.build_only):
        parser.error("the option --stage is needed, unless --build-only is given")
    try:
        agent = build()
        if options.build_only:
            Path(options.build_only).write_bytes(agent)
            return 0
        pin = publish(agent, options.stage)
    except FAILURES as error:
        print(f"publish: {error}; {PIN.name} was left as it was", file=sys.stderr)
        return 1
    where = f"s3://{pin['bucket']}/{pin['key']}"
    print(f"published {where} ({len(agent):,} bytes); now: .venv/bin/chalice deploy --stage {options.stage}")
    print(f"stage {options.stage}: {name_instances(options.stage)}")
    return 0


def build() -> bytes:
    """Build the agent as a zipapp: ``bootstrap``, the protocol and wheels; equal sources give equal bytes."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        _install(tree)
        skip = shutil.ignore_patterns("__pycache__", *DEPLOYS)
        shutil.copytree(ROOT / "bootstrap", tree / "bootstrap", ignore=skip)
        shutil.copytree(ROOT / "chalicelib" / "protocol", tree / "chalicelib" / "protocol", ignore=skip)
        shutil.copy(ROOT / "chalicelib" / "__init__.py", tree / "chalicelib" / "__init__.py")
        shutil.copy(ROOT / "LICENSE", tree / "LICENSE")
        (tree / "__main__.py").write_text(
            "import sys\n\nfrom bootstrap.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"
        )
        return _zipped(tree)


def _install(tree: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--retries", "10"]
    what = ["--requirement", str(ROOT / "requirements-agent.txt"), "--target", str(tree)]
    subprocess.run([*pip, *PURE, *what], check=True)


def _zipped(tree: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in tree.rglob("*") if path.is_file()):
            if name := _packed_name(path.relative_to(tree)):
                archive.writestr(zipfile.ZipInfo(name, EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _packed_name(path: Path) -> str:
    """Name a file of the tree in the agent; "" for what only pip needs. Licence texts travel along."""
    top, *below = path.parts
    if not top.endswith(WHEEL_INFO):
        return "" if top == SCRIPTS else str(path)
    if below[0] == "licenses":
        below = below[1:]
    elif not below[0].upper().startswith(LICENCE_FILES):
        return ""
    return "/".join(("licenses", top.removesuffix(WHEEL_INFO), *below))


def publish(agent: bytes, stage: str) -> dict[str, str]:
    """Make sure of the stage's bucket and table, upload the agent and pin it; answers the pin."""
    check_concurrency(stage)
    outputs = make_foundation(stage)
    sha256 = hashlib.sha256(agent).hexdigest()
    pin = {"bucket": outputs["Bucket"], "key": f"agent-{sha256[:16]}.pyz", "sha256": sha256}
    boto3.client("s3").put_object(Bucket=pin["bucket"], Key=pin["key"], Body=agent)
    PIN.write_text(json.dumps(pin, indent=1) + "\n")
    return pin


if __name__ == "__main__":
    sys.exit(main())
