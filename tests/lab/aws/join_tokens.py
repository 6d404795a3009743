"""The join tokens in Parameter Store; of a swarm that the lab itself has formed, it stores them."""

from __future__ import annotations

from typing import Any

from bootstrap.host.parameter_store import parameter_name
from tests.lab.aws import account
from tests.lab.state import Lab
from tests.lab.swarm import engine


def store(lab: Lab, ssm: Any) -> None:
    """Store both tokens, encrypted, with a boto3 client."""
    found = engine.manager(lab).api.inspect_swarm()["JoinTokens"]
    for role in ("manager", "worker"):
        name, value = parameter_name(lab.cluster, role), found[role.title()]
        ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)


def read_tokens(lab: Lab) -> set[str]:
    """Read the join tokens that Parameter Store holds for the lab's cluster."""
    names = [parameter_name(lab.cluster, role) for role in ("manager", "worker")]
    found = account.session(lab).client("ssm").get_parameters(Names=names, WithDecryption=True)
    return {row["Value"] for row in found["Parameters"]}
