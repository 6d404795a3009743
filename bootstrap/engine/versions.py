"""What differs between Docker engines 20.10 to 29, and what the agent does about it.

| what differs | engines | what the agent does |
|---|---|---|
| newest API version | 20.10: 1.41, 26.1: 1.45, 28.5: 1.51, 29: 1.55 | speaks it (1) |
| oldest API version | 20.10: 1.12, 26.1 and 28.5: 1.24, 29.0 to 29.2: 1.44, later: 1.40 | asks anew (2) |
| service update without `Placement` | 20.10 crashes; later ones restart all tasks | never sends one (3) |
| `status`, `id`, `from` in events | gone from API 1.52 | reads `Action` and `Actor`, which all have |

1. In an older version an engine takes what is newer out of each service spec that it is given
   (`adjustForAPIVersion` in moby).
2. An engine that has replaced another may refuse the version that was spoken with the other one: HTTP 400,
   "client version … is too old".
3. Where there was a `Placement` before: each manager that leads crashes, one after the other (moby 37883).
   An empty one is harmless everywhere.
"""

from __future__ import annotations


def refuses_api_version(reason: str) -> bool:
    """Tell an engine's refusal of the API version spoken from its refusal of what was asked."""
    return "client version" in reason
