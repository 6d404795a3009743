"""What differs between Docker engines from 20.10 to 29, and what the agent does about it: the one place for it.

| what | engines | what the agent does |
|---|---|---|
| newest API version | 20.10: 1.41; 26.1: 1.45; 28.5: 1.51; 29: 1.55 | speaks the engine's own newest one: in an older one the
  engine takes what is newer out of each service spec that it is given (`adjustForAPIVersion` in moby) |
| oldest API version | 20.10: 1.12; 26.1 and 28.5: 1.24; 29.0 to 29.2: 1.44; 29.3 and later: 1.40 | where an engine that has
  replaced another refuses the version (HTTP 400 "client version … is too old"), asks it for its own |
| a service update without `Placement`, where there was one | 20.10 crashes each manager that leads, one after the
  other (moby 37883); later engines restart all tasks | never takes it away: an empty one is harmless everywhere |
| `status`, `id`, `from` in events | gone from API 1.52 | reads `Action` and `Actor`, which all have |
"""

from __future__ import annotations


def refuses_api_version(reason: str) -> bool:
    """Tell an engine's refusal of the API version spoken from its refusal of what was asked."""
    return "client version" in reason
