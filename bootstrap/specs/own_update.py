"""The update that a service's owner began: nothing else may update it before the end; pure."""

from __future__ import annotations

from bootstrap.engine.service import Service

IN_THE_WAY = {  # UpdateStatus.State
    "updating": "is still under way",
    "rollback_started": "is being rolled back",
    "paused": "is paused; any other update would resume it",
    "rollback_paused": "was being rolled back and is paused; any other update would resume it",
}


def why_busy(service: Service) -> str:
    """Say why the service's own update must not be disturbed; "" where none is in the way."""
    state = IN_THE_WAY.get(service.update)
    return f"its own update {state}" if state else ""
