"""Prepare once per machine what many labs need; it stays when a checkout or a lab goes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.lab.machines import locks


def prepare(place: Path, fill: Callable[[Path], None]) -> Path:
    """Answer the place of what is prepared; the first who asks fills it, the others wait meanwhile.

    ``fill`` gets another name to write to, so that what was broken off is never taken for all.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(place.parent / f"{place.name}.lock"):
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".part-") as part:
                new = Path(part, "new")
                fill(new)
                new.rename(place)
    return place
