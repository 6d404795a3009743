"""Whatever an event or a call holds: it is parsed, or refused in one line; nothing else is raised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.admin.calls import CALLS
from chalicelib.admin.payloads import check_payload
from chalicelib.errors import CallError, MalformedError
from tests.unit.chalicelib.events.support.kinds import KINDS
from tests.unit.chalicelib.support.samples import sample
from tests.unit.support.hostile import CHANGES, JSON, mutate, nest

pytestmark = pytest.mark.fuzz
DEEP: list[Any] = [nest(100_000), {"detail": nest(100_000)}, 10**6000, {"source": 10**6000}]
CALL = {"cluster": "blue", "instance": "i-0123456789abcdef0", "seconds": 60, "services": ["web"]}


def parse(kind: type[Any], payload: object) -> None:
    try:
        kind.parse(payload)
    except MalformedError as error:
        assert str(error).isprintable()  # noqa: PT017 - both ways are good ones
        assert len(str(error)) < 400  # noqa: PT017


def check(name: str, payload: object) -> None:
    try:
        check_payload(payload, CALLS[name][0])
    except CallError as error:
        assert str(error).isprintable()  # noqa: PT017
        assert len(str(error)) < 500  # noqa: PT017


@given(st.sampled_from(sorted(KINDS, key=str)), CHANGES)
def test_a_genuine_event_with_changes(kind: type[Any], changes: list[tuple[list[int], object]]) -> None:
    parse(kind, mutate(sample(KINDS[kind]), changes))


@given(st.sampled_from(sorted(KINDS, key=str)), JSON)
def test_any_event(kind: type[Any], payload: object) -> None:
    parse(kind, payload)


@given(st.sampled_from(sorted(CALLS)), JSON)
def test_any_call(name: str, payload: object) -> None:
    check(name, payload)


@given(st.sampled_from(sorted(CALLS)), CHANGES)
def test_a_call_with_changes(name: str, changes: list[tuple[list[int], object]]) -> None:
    check(name, mutate(CALL, changes))


@pytest.mark.parametrize("payload", DEEP, ids=["deep", "deep-detail", "huge", "huge-source"])
def test_what_is_very_deep_or_huge(payload: object) -> None:
    for kind in KINDS:
        parse(kind, payload)
    for name in CALLS:
        check(name, payload)
        check(name, {**CALL, "instance": payload, "cluster": payload})
    for field in ("time", "source", "resources", "detail"):
        for kind, genuine in KINDS.items():
            parse(kind, {**sample(genuine), field: payload})
    for kind, genuine in KINDS.items():
        detail = sample(genuine)["detail"]
        for field in detail:
            parse(kind, {**sample(genuine), "detail": {**detail, field: payload}})
