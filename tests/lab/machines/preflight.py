"""Tells in one line why a lab cannot run here, before anything is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab.images import registry
from tests.lab.state import ROOT, LabError

PROGRAMS = (
    "dockerd",
    "docker",
    "iptables",
    "ip",
    "docker-registry",
    "busybox",
    "tini",
    "nsenter",
    "unshare",
    "mount",
)
# Each is tried for real, in namespaces that vanish again: a kernel does not reliably tell what it has.
FEATURES = {
    "namespaces (run the lab in a privileged container or on a real machine)": "true",
    "network bridges": "ip link add b0 type bridge",
    "virtual Ethernet pairs": "ip link add v0 type veth peer name v1",
    "VXLAN, which overlay networks need": "ip link add x0 type vxlan id 7 dstport 4789",
    f"an overlay file system with {ROOT} as its upper layer (put a plain disk there)": (
        "mkdir u w m && mount -t overlay -o lowerdir=/,upperdir=u,workdir=w overlay m"
    ),
}


def check() -> None:
    """LabError with what is missing and how to mend it."""
    check_caller()
    _check_programs()
    _check_kernel()


def check_caller(platform: str = sys.platform) -> None:
    """LabError where no command of the lab can work, whatever is installed."""
    if platform != "linux":
        raise LabError(
            f"the lab runs on Linux only: its hosts are namespaces of the kernel; this is {platform}"
        )
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it makes network namespaces and mounts; try sudo")


def _check_programs() -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [program for program in PROGRAMS if not shutil.which(program, path=path)]
    if "busybox" not in missing and not _static(registry.BUSYBOX):
        missing.append("a static busybox")
    if missing:
        raise LabError(f"programs are missing: {', '.join(missing)}; install them: make system")


def _static(program: Path) -> bool:
    """Whether a program needs no loader, so that it runs in an image that holds nothing else."""
    try:
        with program.open("rb") as file:
            return b"/ld-" not in file.read(4096)
    except FileNotFoundError:
        return False


def _check_kernel() -> None:
    apart = ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "sh", "-c"]
    ROOT.mkdir(parents=True, exist_ok=True)
    # A directory of this check alone: labs may start side by side.
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".try-") as place:
        for feature, trial in FEATURES.items():
            if subprocess.run([*apart, trial], cwd=place, capture_output=True, check=False).returncode:
                raise LabError(f"this machine's kernel refuses {feature}")
