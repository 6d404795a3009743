"""Every action can be performed."""

from __future__ import annotations

from typing import get_args

from chalicelib.actions import Action
from chalicelib.effects import PERFORM


def test_every_action_has_one_way_to_be_performed_and_nothing_else_has() -> None:
    assert set(PERFORM) == set(get_args(Action))
