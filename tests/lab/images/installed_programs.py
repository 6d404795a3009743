"""Images made of programs of this machine, for tests that ask for them: Debian's socat, this Python."""

from __future__ import annotations

import io
import re
import shutil
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.lab.images import registry
from tests.lab.images.registry import Image, Layer
from tests.lab.machines import programs
from tests.lab.state import Lab, LabError

PORT, ENGINE = 2375, "/var/run/docker.sock"
# A stand-in for rancher/socat-docker: the same program with the same effect, under the same name.
SOCAT = Image(
    "rancher/socat-docker",
    "latest",
    ("/usr/bin/socat", f"TCP-LISTEN:{PORT},fork,reuseaddr", f"UNIX-CONNECT:{ENGINE}"),
)
PYTHON = Image("python", "3", ("python",))
LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "ensurepip", "site-packages", "lib2to3", "tkinter", "turtledemo"}
)
LIBRARY = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x")  # a line of ldd


def push_socat(lab: Lab) -> None:
    """``rancher/socat-docker``, which passes port 2375 on to the engine's socket."""
    program = shutil.which("socat", path="/usr/bin:/bin")
    if program is None:
        raise LabError("programs are missing: socat; install them: make system")
    files = {"usr/bin/socat": Path(program), **libraries([Path(program)])}
    registry.push(lab, SOCAT, registry.layer(registry.base_files()), registry.layer(pack(files)))


def push_python(lab: Lab) -> None:
    """``python:3``, the running interpreter with its standard library, and busybox as its shell."""
    registry.push(lab, PYTHON, registry.layer(registry.base_files()), python_layer())


def python_layer() -> Layer:
    """Pack the running interpreter with its standard library."""
    program = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    kept = [
        path for path in library.rglob("*") if path.is_file() and not _left_out(path.relative_to(library))
    ]
    extensions = [path for path in kept if path.suffix == ".so"]
    files = {f"usr/local/lib/{library.name}/{path.relative_to(library)}": path for path in kept}
    # The interpreter finds its standard library by its own place.
    files |= {"usr/local/bin/python": program, **libraries([program, *extensions])}
    return registry.layer(pack(files, {"bin/python": "/usr/local/bin/python"}))


def _left_out(path: Path) -> bool:
    needless = ("config-", "_tkinter")  # what a build of extensions needs; windows
    return (
        bool(LEFT_OUT & set(path.parts))
        or path.parts[0].startswith(needless)
        or path.name.startswith(needless)
    )


def libraries(binaries: Iterable[Path]) -> dict[str, Path]:
    """Find the shared libraries that the programs need, by where they look for them."""
    told = programs.run(["ldd", *map(str, binaries)])
    return {found.lstrip("/"): Path(found).resolve() for found in LIBRARY.findall(told)}


def pack(files: dict[str, Path], links: dict[str, str] | None = None) -> bytes:
    """Pack files into a tar, with every directory above them: an engine makes missing ones for root."""
    out = io.BytesIO()
    folders = {str(parent) for name in files for parent in Path(name).parents if parent.name} | {"tmp"}
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        for name, path in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = path.stat().st_size, 0o755 if path.stat().st_mode & 0o111 else 0o644
            with path.open("rb") as content:
                tar.addfile(entry, content)
    return out.getvalue()
