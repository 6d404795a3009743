"""The lab's own image registry and the images in it, made from nothing but a static busybox."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.lab.machines import programs
from tests.lab.state import Lab, LabError

BUSYBOX = Path("/bin/busybox")
ROOTFS = Path(__file__).with_name("rootfs")
APPLETS = (
    "cat",
    "hostname",
    "httpd",
    "kill",
    "ls",
    "mkdir",
    "nslookup",
    "ps",
    "sh",
    "sleep",
    "test",
    "timeout",
    "touch",
    "wget",
)
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Image:
    """One image: name, tag, command, environment and, where it has one, its health check."""

    name: str
    tag: str
    command: tuple[str, ...]
    environment: tuple[str, ...] = ()
    health: dict[str, object] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """One layer: packed as it travels, and the digest of its tar."""

    packed: bytes
    diff: str


# Healthy 2 s after its start at the earliest; failures of the first ten seconds do not count.
_HEALTH: dict[str, object] = {
    "Test": ["CMD", "/bin/test", "-f", "/www/ready"],
    "Interval": SECOND,
    "Timeout": 10 * SECOND,
    "StartPeriod": 10 * SECOND,
    "Retries": 3,
}
IMAGES = (
    Image("web", "1", ("/serve",), ("VERSION=1",)),
    Image("web", "2", ("/serve",), ("VERSION=2",)),
    Image("checked", "1", ("/serve",), ("VERSION=1", "WARM_UP=2"), _HEALTH),
    Image("client", "1", ("/idle",)),
    Image("broken", "1", ("/bin/sh", "-c", "exit 1")),
)


def reference(lab: Lab, image: str) -> str:
    """Build the full name of an image such as ``web:1`` in the lab's registry."""
    return f"{lab.gateway}:5000/{image}"


def start_registry(lab: Lab) -> Lab:
    """Start the registry on the lab's gateway and fill it; answers the lab with its process recorded."""
    path = lab.directory / "registry.yml"
    path.write_text(json.dumps(_settings(lab), indent=1))
    lab = programs.start(lab, "registry", ["docker-registry", "serve", str(path)])
    _wait_for_answer(lab)
    push_all(lab)
    return lab


def push_all(lab: Lab) -> None:
    """Put every image into the registry. They share one layer, so this takes a moment only."""
    base = layer(base_files())
    for image in IMAGES:
        push(lab, image, base)


def base_files() -> bytes:
    """Pack a file system into a tar: busybox, its applets by name, and the lab's scripts."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        _add(tar, "bin/busybox", BUSYBOX.read_bytes())
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        www = tarfile.TarInfo("www")
        www.type, www.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(www)
        for script in sorted(ROOTFS.iterdir()):
            _add(tar, script.name, script.read_bytes())
    return out.getvalue()


def layer(tar: bytes) -> Layer:
    """Compress a layer of an image, lightly, as it only travels within this machine."""
    return Layer(gzip.compress(tar, compresslevel=1, mtime=0), _digest(tar))


def push(lab: Lab, image: Image, *layers: Layer) -> None:
    """Put an image of these layers, the lowest first, into the lab's registry."""
    config = json.dumps(_config(image, layers)).encode()
    blobs = [one.packed for one in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": len(config), "digest": _digest(config)},
        "layers": [{"mediaType": LAYER, "size": len(blob), "digest": _digest(blob)} for blob in blobs],
    }
    base = f"http://{lab.gateway}:5000/v2/{image.name}"
    for blob in (*blobs, config):
        _upload(base, blob)
    headers = {"Content-Type": MANIFEST}
    _ok(requests.put(f"{base}/manifests/{image.tag}", json.dumps(manifest), headers=headers, timeout=10))


def _settings(lab: Lab) -> dict[str, object]:
    return {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(lab.directory / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"{lab.gateway}:5000"},
    }


def _wait_for_answer(lab: Lab) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            requests.get(f"http://{lab.gateway}:5000/v2/", timeout=1).raise_for_status()
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
    raise LabError(f"the image registry does not answer; see {lab.directory / 'registry.log'}")


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    tar.addfile(entry, io.BytesIO(content))


def _config(image: Image, layers: Sequence[Layer]) -> dict[str, object]:
    config: dict[str, object] = {"Cmd": image.command, "Env": ["PATH=/bin", *image.environment]}
    if image.entrypoint:
        config |= {"Entrypoint": image.entrypoint, "Cmd": []}
    if image.health:
        config["Healthcheck"] = image.health
    rootfs = {"type": "layers", "diff_ids": [one.diff for one in layers]}
    return {"architecture": _architecture(), "os": "linux", "config": config, "rootfs": rootfs}


def _upload(base: str, blob: bytes) -> None:
    if requests.head(f"{base}/blobs/{_digest(blob)}", timeout=10).ok:
        return
    place = _ok(requests.post(f"{base}/blobs/uploads/", timeout=10)).headers["Location"]
    sent = {"Content-Type": "application/octet-stream"}
    _ok(requests.put(place, blob, params={"digest": _digest(blob)}, headers=sent, timeout=10))


def _ok(answer: requests.Response) -> requests.Response:
    if not answer.ok:
        raise LabError(f"the image registry refuses: {answer.status_code} {answer.text.strip()}")
    return answer


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _architecture() -> str:
    """Go's name of this machine's processor."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
