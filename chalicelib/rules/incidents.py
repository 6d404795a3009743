"""What people are told: every incident is built here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.state.incident import AGAIN, Incident

if TYPE_CHECKING:
    from chalicelib.protocol.messages import AgentTask
    from chalicelib.state.cluster import Cluster

LOST = ("managers", "bring managers back; where their quorum is lost for good: recover (README)")


def silent(
    cluster: Cluster, task: AgentTask, said: str, manager: str, cause: tuple[str, str] = LOST
) -> Incident:
    """Managers were tried, and none could; its key and remedy are the ``cause``'s."""
    key, remedy = cause
    return Incident(
        key=key,
        at=cluster.now,
        what=f"no manager of {cluster.name} could {task.value}: {said}",
        left="nothing destructive is done; the work is tried again, ever more rarely",
        remedy=remedy,
        instance=manager,
        expires=cluster.now + AGAIN,
    )
