"""The real world is put together so that hosts can use what they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlparse

from chalicelib.adapters import wiring
from chalicelib.adapters.run_command import SsmHosts

if TYPE_CHECKING:
    import pytest


def test_the_address_of_an_agent_names_its_region(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """S3 answers on the other one with a redirect, for which the signature is not good, or not at all."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-south-1")
    monkeypatch.setenv("TABLE", "table")
    wiring._world.cache_clear()  # noqa: SLF001
    hosts = wiring.connected().hosts
    wiring._world.cache_clear()  # noqa: SLF001
    assert isinstance(hosts, SsmHosts)
    url = hosts.s3.generate_presigned_url("get_object", {"Bucket": "swarmkeeper-dev-1", "Key": "agent.pyz"})
    assert urlparse(url).hostname == "swarmkeeper-dev-1.s3.eu-south-1.amazonaws.com"
