"""Make the plugin in a host's engine, as its makers would, and push it to the lab's registry."""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

from tests.lab.images import installed_programs
from tests.lab.machines import machine, programs
from tests.lab.state import Host, Lab, LabError

REPOSITORY, TAG = "weaveworks/net-plugin", "2.8.1"
ROUTER = Path(__file__).with_name("router")
PACKAGE = "home/weave/tests/lab/netplugin"
FOLDER = Path("/opt/net-plugin")  # in the host
TOOLS = ("ip", "bridge")


def reference(lab: Lab, tag: str = TAG) -> str:
    """Name the plugin in the lab's registry."""
    return f"{lab.gateway}:5000/{REPOSITORY}:{tag}"


def push(lab: Lab, host: Host) -> str:
    """Make the plugin in this host's engine, push it, and leave nothing of it there; answers its name."""
    name, root = reference(lab), Path(f"/proc/{host.pid}/root{FOLDER}")
    shutil.rmtree(root, ignore_errors=True)
    (root / "rootfs").mkdir(parents=True)
    for tar in (
        gzip.decompress(installed_programs.python_layer().packed),
        installed_programs.pack(_own_files()),
    ):
        with tarfile.open(fileobj=BytesIO(tar)) as opened:
            opened.extractall(root / "rootfs", filter="fully_trusted")  # noqa: S202 - our own
    for folder in ("host/proc", "host/var/lib", "host/etc", "lib/modules", "run/docker/plugins", "var/run"):
        (root / "rootfs" / folder).mkdir(parents=True, exist_ok=True)
    (root / "config.json").write_text(json.dumps(plugin_config(), indent=1))
    for words in (("create", name, str(FOLDER)), ("push", name), ("rm", name)):
        programs.run([*machine.enter(host), "docker", "plugin", *words])
    shutil.rmtree(root)
    return name


def prepare(host: Host) -> None:
    """Give a host what the plugin mounts: without a folder for the kernel's modules it does not start."""
    Path(f"/proc/{host.pid}/root/lib/modules").mkdir(parents=True, exist_ok=True)


def plugin_config() -> dict[str, object]:
    """Build the plugin's configuration, with the original's mounts and rights."""
    mounts = {
        "/host/proc/": "/proc/",
        "/var/run/docker.sock": "/var/run/docker.sock",
        "/host/var/lib/": "/var/lib/",
        "/host/etc/": "/etc/",
        "/lib/modules/": "/lib/modules/",
    }
    variables = [
        {"name": name, "settable": ["value"], "value": ""} for name in ("EXTRA_ARGS", "IPALLOC_RANGE")
    ]
    fixed = {"PYTHONHOME": "/usr/local", "PYTHONPATH": "/home/weave", "PYTHONDONTWRITEBYTECODE": "1"}
    return {
        "description": "A stand-in for Weave Net",
        "documentation": "docs/lab.md",
        "entrypoint": ["/usr/local/bin/python", "-m", "tests.lab.netplugin.router.launch"],
        "interface": {"socket": "weave.sock", "types": ["docker.networkdriver/1.0"]},
        "linux": {"capabilities": ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_MODULE"]},
        "mounts": [
            {"destination": inside, "source": outside, "type": "bind", "options": ["rbind"]}
            for inside, outside in mounts.items()
        ],
        "env": [*variables, *({"name": name, "value": value} for name, value in fixed.items())],
        "network": {"type": "host"},
        "workdir": "",
    }


def _own_files() -> dict[str, Path]:
    """Choose what is in the plugin besides Python: the router, and the tools of the kernel's network."""
    files = {f"{PACKAGE}/router/{path.name}": path for path in ROUTER.glob("*.py")}
    for tool in TOOLS:
        found = shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin")
        if found is None:
            raise LabError(f"programs are missing: {tool}; install them: make system")
        files[f"sbin/{tool}"] = Path(found).resolve()
    tools = [path for place, path in files.items() if place.startswith("sbin/")]
    return {**files, **installed_programs.libraries(tools)}
