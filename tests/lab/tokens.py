"""The join tokens of a swarm that the lab itself has formed, where ``init`` would have stored them."""

from __future__ import annotations

from typing import Any

from bootstrap.parameters import place
from tests.lab import engine
from tests.lab.state import Lab


def store(lab: Lab, ssm: Any) -> None:
    """Store both tokens, encrypted, with a boto3 client."""
    found = engine.manager(lab).api.inspect_swarm()["JoinTokens"]
    for role in ("manager", "worker"):
        name, value = place(lab.cluster, role), found[role.title()]
        ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
