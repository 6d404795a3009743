"""Each stack can be described: the schema has its settings, the profiles its images and networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from bootstrap.describe import schema
from bootstrap.describe.describing import PROFILES
from bootstrap.describe.schema import find_faults, load_schema, with_stacks
from bootstrap.describe.stack_settings import image_names, networks_of
from bootstrap.describe.yaml_file import read_yaml
from bootstrap.stacks.catalog import STACKS

FOLDER = Path(schema.__file__).parent


def test_the_schema_is_a_schema_and_has_the_settings_of_each_stack() -> None:
    Draft202012Validator.check_schema(load_schema())
    how = "write it anew: python -m bootstrap.describe schema > new.json, then move that to its place"
    assert load_schema() == with_stacks(load_schema()), how


def test_the_images_of_all_stacks_can_be_described() -> None:
    assert image_names(STACKS) <= set(load_schema()["properties"]["images"]["properties"])


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_is_a_good_one_and_offers_each_network(name: str) -> None:
    profile = read_yaml(FOLDER / "profiles" / f"{name}.yaml").value
    assert list(find_faults(profile, is_profile=True)) == []
    assert {one for stack in STACKS for one in networks_of(stack)} <= set(profile["network"]["networks"])
