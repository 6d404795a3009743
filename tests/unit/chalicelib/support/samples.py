"""The genuine event payloads, with another time or detail where a test needs one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parents[3] / "samples"


def sample(name: str, time: float | None = None, **detail: object) -> dict[str, Any]:
    """Read a payload by its file's name; ``detail`` names fields with ``_`` for ``-``."""
    payload: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    if time is not None:
        payload["time"] = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    payload["detail"] |= {field.replace("_", "-"): value for field, value in detail.items()}
    return payload
