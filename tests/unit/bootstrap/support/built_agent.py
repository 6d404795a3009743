"""The agent as it is published."""

from __future__ import annotations

from functools import cache

from bootstrap import publish


@cache
def built_agent() -> bytes:
    """Build it once for all tests of a process: pip needs more than a second for it."""
    return publish.build()
