"""The schema takes no more than hosts do."""

from __future__ import annotations

from bootstrap.describe.schema import load_schema
from chalicelib.protocol import description_codec


def test_what_hosts_refuse_is_not_in_the_schema_either() -> None:
    properties = load_schema()["properties"]
    engine, network = properties["engine"]["properties"], properties["network"]["properties"]
    assert set(engine) == set(description_codec.ENGINE)
    assert set(network) == set(description_codec.NETWORKING)
    assert set(properties["host"]["properties"]) == set(description_codec.HOST)
    assert set(engine["settings"]["propertyNames"]["not"]["enum"]) == set(description_codec.RESERVED)
    assert {"kind", *engine["source"]["else"]["properties"]} == set(description_codec.SOURCE)
