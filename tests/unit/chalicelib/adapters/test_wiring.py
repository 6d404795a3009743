"""The real world is put together so that hosts can use what they are given."""

from __future__ import annotations

from urllib.parse import urlparse

import pytest

from chalicelib.adapters import wiring
from chalicelib.adapters.run_command import SsmHosts


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-south-1", "s3.eu-south-1.amazonaws.com"),
        ("us-gov-west-1", "s3.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_address_of_an_agent_names_its_region(
    monkeypatch: pytest.MonkeyPatch, region: str, host: str
) -> None:
    """S3 answers on the other one with a redirect, for which the signature is not good, or not at all."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("TABLE", "table")
    wiring._world.cache_clear()  # noqa: SLF001
    hosts = wiring.connected().hosts
    wiring._world.cache_clear()  # noqa: SLF001
    assert isinstance(hosts, SsmHosts)
    url = hosts.s3.generate_presigned_url("get_object", {"Bucket": "swarmkeeper-dev-1", "Key": "agent.pyz"})
    assert urlparse(url).hostname == f"swarmkeeper-dev-1.{host}"
