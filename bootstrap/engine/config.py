"""Swarm configs as the engine lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Config:
    """One Swarm config; ``spec`` is the engine's own JSON."""

    id: str
    version: int
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}
