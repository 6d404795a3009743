"""What a person orders, from a manual call whose payload was checked (admin/calls.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.protocol.messages import AgentTask, Rebalance

EVERYTHING = Rebalance()


@dataclass(frozen=True, slots=True)
class EvacuationOrdered:
    """Empty a node within so many ``seconds``; give it back after ``back`` more (0: keep it empty)."""

    time: float
    instance: str
    seconds: float
    back: float = 0.0


@dataclass(frozen=True, slots=True)
class GiveBackOrdered:
    """Let an evacuated node have tasks again."""

    time: float
    instance: str


@dataclass(frozen=True, slots=True)
class RedriveOrdered:
    """Do again what was given up, for one instance or ("") for all."""

    time: float
    instance: str = ""


@dataclass(frozen=True, slots=True)
class SettingsOrdered:
    """Change the cluster's settings: fields of ClusterSettings and their new values."""

    time: float
    changes: Mapping[str, str | bool | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskOrdered:
    """Have an agent do a task, about one ``instance`` or ("") about the cluster."""

    time: float
    task: AgentTask
    instance: str = ""
    rebalance: Rebalance = EVERYTHING
