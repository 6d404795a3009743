"""The lifecycle actions of a worker."""

from __future__ import annotations

from chalicelib.state.instance import LifecycleAction, Transition
from tests.unit.chalicelib.support.fakes import START

LAUNCH = LifecycleAction("workers", "join", "token-1", Transition.LAUNCHING, START)
END = LifecycleAction("workers", "leave", "token-2", Transition.TERMINATING, START)
