"""The schema is a good one, knows the agent's stacks, and takes no more than hosts do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from bootstrap.describe.describing import PROFILES
from bootstrap.describe.schema import find_faults, load_schema, with_stacks
from bootstrap.describe.stack_settings import image_names, networks_of
from bootstrap.stacks.catalog import STACKS
from chalicelib.protocol import description_codec

FOLDER = Path(description_codec.__file__).parents[2] / "bootstrap" / "describe"


def test_the_schema_is_a_schema_with_the_agents_stacks() -> None:
    Draft202012Validator.check_schema(load_schema())
    how = "write it anew: python -m bootstrap.describe schema > new.json, then move that to its place"
    assert load_schema() == with_stacks(load_schema()), how


def test_the_images_of_all_stacks_can_be_described() -> None:
    assert image_names(STACKS) <= set(load_schema()["properties"]["images"]["properties"])


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_is_a_good_one_and_offers_each_network(name: str) -> None:
    profile = yaml.safe_load((FOLDER / "profiles" / f"{name}.yaml").read_text())
    assert list(find_faults(profile, is_profile=True)) == []
    assert {one for stack in STACKS for one in networks_of(stack)} <= set(profile["network"]["networks"])


def test_what_hosts_refuse_is_not_in_the_schema_either() -> None:
    properties = load_schema()["properties"]
    engine, network = properties["engine"]["properties"], properties["network"]["properties"]
    assert set(engine) == set(description_codec.ENGINE)
    assert set(network) == set(description_codec.NETWORKING)
    assert set(properties["host"]["properties"]) == set(description_codec.HOST)
    assert set(engine["settings"]["propertyNames"]["not"]["enum"]) == set(description_codec.RESERVED)
    assert {"kind", *engine["source"]["else"]["properties"]} == set(description_codec.SOURCE)
